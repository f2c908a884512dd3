//! A first service, with a secret key and a pull secret, driven as a person would.

use std::{
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::{
    leftovers,
    process::{run, text},
    registry::PASSWORD,
    server::{Server, workload},
};

fn sha256(value: &str) -> String {
    let output = run(&mut Command::new("sha256sum"), value);
    text(&output.stdout).split(' ').next().expect("a sum").to_owned()
}

#[test]
fn a_service_gets_exactly_its_own_secrets_and_newer_ones_at_a_restart() {
    let mut server = Server::new();
    let key =
        server.secret("weather", "WEATHER_API_KEY='first $HOME \"value\"'\nWEATHER_PEM='-----\nline two\n-----'\n");
    server.secret("other", "OTHER_VALUE=must-not-be-seen\n");
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("weather", &format!("image: {image}\nsecrets: [{key}]\npull_secret: {pull}"));

    let shown = server.ok(&["session", "launch", "lobby", "--wait", "--timeout", "60"], "");
    assert!(shown.contains("of room lobby: ready") && shown.contains("weather (version 1)"), "{shown}");
    let session = server.launch("lobby");
    let log = server.log_with(&session, "weather", "serving on port 8000");
    for (name, value) in [("WEATHER_API_KEY", "first $HOME \"value\""), ("WEATHER_PEM", "-----\nline two\n-----")] {
        let line = format!("{name} sha256 {}", sha256(value));
        assert!(log.lines().any(|said| said == line), "`{line}` is not in: {log}");
    }
    assert!(log.contains("printed by mistake: WEATHER_API_KEY=[redacted]"), "{log}");
    assert!(!log.contains("OTHER") && !log.contains("first $HOME"), "{log}");
    assert_eq!(server.ok(&["session", "logs", "lobby", "--tail", "1"], "").lines().count(), 1);

    server.ok(&["secret", "keys", "update", "weather", "--from-env-file", "-"], "WEATHER_API_KEY=second-value\n");
    let older = server.session(&session);
    let used = &workload(&older, "weather")["secrets"][0];
    assert_eq!((used["version"].as_u64(), used["newest"].as_u64()), (Some(1), Some(2)), "{used}");
    server.ok(&["session", "restart", "lobby", "weather"], "");
    let line = format!("WEATHER_API_KEY sha256 {}", sha256("second-value"));
    server.until(&session, "the restart with version 2", |session| {
        let workload = workload(session, "weather");
        workload["state"] == "ready" && workload["secrets"][0]["version"] == 2
    });
    server.log_with(&session, "weather", &line);

    let said = server.said();
    for value in ["first $HOME", "second-value", "line two", PASSWORD] {
        assert!(!said.contains(value), "the server's log has a value");
    }
    assert!(!leftovers::processes(&session).is_empty(), "the search for processes finds none");
    server.ok(&["session", "terminate", "lobby"], "");
    assert_eq!(server.session(&session)["state"], "ended");
    server.end();
}

#[test]
fn services_of_one_session_reach_each_other_by_name_and_nobody_else() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let common = format!("image: {image}\npull_secret: {pull}");
    server.service("weather", &common);
    // Of Debian's static busybox, neither names nor `wget -T` work in an image that has no libraries.
    let find = "address=$(grep -w weather /etc/hosts | cut -f1)";
    let ask = "timeout 5 wget -q -O - http://$address:8000/healthz";
    let host = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let command = format!(
        "command: sh -c '{find}; until {ask}; do sleep 0.1; done; gateway=$(ip route | grep default | cut -d\" \" -f3); \
         timeout 2 nc $gateway {port} </dev/null || echo no host at $gateway; echo done; exec sleep 1000'"
    );
    server.service("asks", &format!("{common}\n{command}"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    let log = crate::process::eventually("the answer", || {
        let log = server.log(&session, "asks");
        if log.contains("done") { Ok(log) } else { Err(log) }
    });
    assert!(log.contains("ok") && log.contains("no host at 10."), "{log}");
    // Had the service got through, its connection would be the first.
    let own = TcpStream::connect(("127.0.0.1", port)).unwrap().local_addr().unwrap();
    assert_eq!(host.accept().unwrap().1, own);
    server.end();
}
