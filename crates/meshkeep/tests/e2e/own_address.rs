//! A service asks the server that runs it, at the address that it was given: as anybody else, no more and no less.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::{
    process::eventually,
    server::{Server, workload},
};

/// Asks again and again, and says each answer's first line; a mark of the shell between two looks. The static busybox
/// resolves no names, so the name is looked up by hand.
const ASKS: &str = r#"command: sh -c 'port=${MESHAGENT_API_URL##*:}; name=${MESHAGENT_API_URL#http://}; name=${name%:*}; \
    address=$(grep -w $name /etc/hosts | cut -f1); echo told $MESHAGENT_API_URL; \
    ask() { timeout 1 wget -S -O /dev/null $3 http://$address:$port$2 2>&1 | grep -m 1 HTTP/ | sed "s/^ */$1 /"; }; \
    while :; do ask health /healthz; ask keyless /accounts/projects/$MESHAGENT_PROJECT_ID/services; sleep 0.1; done'"#;

/// A port below those that the kernel gives out by itself, so that the server finds it free again.
fn fixed_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).expect("it fits");
    (first..32_000).find(|&port| TcpListener::bind(("0.0.0.0", port)).is_ok()).expect("a free port")
}

/// Waits until the service has got an answer of each kind since it had said `seen` lines; how many it has said then.
#[track_caller]
fn answers(server: &Server, session: &str, seen: usize) -> usize {
    eventually("answers of the server to its service", || {
        let log = server.log(session, "asks");
        let new: Vec<&str> = log.lines().skip(seen).collect();
        let has = |start: &str| new.iter().any(|line| line.starts_with(start));
        assert!(!has("keyless HTTP/1.1 2"), "answered without a key: {log}");
        if has("health HTTP/1.1 200") && has("keyless HTTP/1.1 401") { Ok(log.lines().count()) } else { Err(log) }
    })
}

#[test]
fn a_service_reaches_its_server_and_again_after_that_was_killed() {
    for (address, arguments) in [("127.0.0.1", &[][..]), ("0.0.0.0", &["--behind-proxy"])] {
        let port = fixed_port();
        let mut server = Server::listening(&format!("{address}:{port}"), arguments);
        let pull = server.good_pull_secret();
        let image = server.registry.image();
        server.service("asks", &format!("image: {image}\npull_secret: {pull}\n{}", ASKS.replace("\\\n    ", "")));
        let session = server.launch("lobby");
        server.until_ready(&session);
        let mut seen = answers(&server, &session, 0);
        assert!(server.log(&session, "asks").contains(&format!("told http://meshkeep:{port}\n")));
        let started = workload(&server.session(&session), "asks")["started_at"].clone();
        for signal in [Signal::KILL, Signal::TERM] {
            server.stop(signal);
            server.start();
            seen = answers(&server, &session, seen);
        }
        assert_eq!(workload(&server.session(&session), "asks")["started_at"], started, "it is still the same process");
        server.end();
    }
}
