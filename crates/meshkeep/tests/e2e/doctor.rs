//! `doctor` beside a server and without one: what is damaged is named with what to do, and the rest goes on.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::process::Signal;

use crate::{
    process::{Ends, run, text},
    server::{Server, workload},
};

/// Behind meshkeep's back.
fn tamper(server: &Server, sql: &str) {
    let database = server.data_dir().join("meshkeep.db");
    let output = run(Command::new("sqlite3").arg(database), sql);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn damage_is_named_stops_what_it_touches_and_can_be_accepted() {
    let mut server = Server::new();
    let (key, other) = (
        server.secret("weather-keys", "WEATHER_API_KEY=sixteen-or-more-of-them\n"),
        server.secret("other-keys", "OTHER_API_KEY=sixteen-or-more-of-them\n"),
    );
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let container = |key: &str| {
        format!(
            "image: {image}\npull_secret: {pull}\nsecrets: [{key}]\ncommand: sh -c 'trap \"exit 0\" TERM; while :; do sleep 0.2; done'"
        )
    };
    server.service("weather", &container(&key));
    server.service("other", &container(&other));
    let session = server.launch("lobby");
    server.until_ready(&session);
    // Whoever reads only the first line is no reason to fall.
    let program = env!("CARGO_BIN_EXE_meshkeep");
    let script = format!("set -o pipefail; {program} doctor --data-dir data | head -n 1");
    let first = run(Command::new("bash").current_dir(server.place()).args(["-c", &script]), "");
    assert!(first.status.success() && first.stderr.is_empty(), "{}", text(&first.stderr));

    // While the server runs and writes: what is looked at is one state.
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !over.load(Ordering::SeqCst) {
                number += 1;
                server.secret(&format!("churn-{number}"), "CHURN_VALUE=sixteen-or-more-of-them\n");
            }
        });
        let _ends = Ends(&over);
        for _ in 0..8 {
            assert_eq!(server.complaints(&[]), Vec::<String>::new());
        }
    });
    server.ok(&["session", "terminate", &session], "");
    server.stop(Signal::TERM);

    tamper(&server, &format!("UPDATE secret_versions SET entries = x'00', summary = x'00' WHERE secret_id = '{key}'"));
    let layer = fs::read_dir(server.data_dir().join("images/layers")).unwrap().flatten().map(|entry| entry.path());
    let layer = layer.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "erofs")).unwrap();
    let mut bytes = fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&layer, bytes).unwrap();
    let complaints = server.complaints(&[]);
    let says = |words: [&str; 2]| complaints.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(says(["version 1 of secret", "weather-keys"]), "{complaints:?}");
    assert!(says(["is not as it was written", "rm /"]), "{complaints:?}");
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    fs::remove_file(&layer).unwrap();

    // The server starts; the one service fails by name, the other runs.
    server.start();
    let session = server.launch("lobby");
    let found = server.until(&session, "one ready and one failed", |session| {
        workload(session, "other")["state"] == "ready" && workload(session, "weather")["state"] == "failed"
    });
    let reason = workload(&found, "weather")["reason"].to_string();
    assert!(reason.contains("damaged") && reason.contains(&key), "{reason}");
    let listed = server.ok(&["secret", "list"], "");
    assert!(listed.contains("(damaged)"), "{listed}");
    server.ok(&["session", "terminate", &session], "");
    server.stop(Signal::TERM);

    let accepted = run(&mut server.operator(&["doctor", "--data-dir", "data", "--accept"]), "");
    assert!(accepted.status.success(), "{}", text(&accepted.stderr));
    assert!(text(&accepted.stderr).contains("weather-keys"), "{}", text(&accepted.stderr));
    assert_eq!(server.complaints(&[]), Vec::<String>::new());
    server.start();
    assert!(!server.ok(&["secret", "list"], "").contains("weather-keys"));
    let refused = run(&mut server.operator(&["doctor", "--data-dir", "data", "--accept"]), "");
    assert!(text(&refused.stderr).contains("another meshkeep serves"), "{}", text(&refused.stderr));
    server.ok(&["session", "terminate", "--all"], "");
    server.stop(Signal::TERM);
    server.start();
    server.end();
}

#[test]
fn an_old_data_directory_that_is_put_back_is_refused_until_it_is_accepted() {
    let mut server = Server::new();
    server.secret("first", "FIRST_API_KEY=sixteen-or-more-of-them\n");
    server.stop(Signal::TERM);
    let database = server.data_dir().join("meshkeep.db");
    let old = fs::read(&database).unwrap();
    server.start();
    server.secret("second", "SECOND_API_KEY=sixteen-or-more-of-them\n");
    server.stop(Signal::TERM);
    fs::write(&database, old).unwrap();

    let (code, said) = server.refuses_to_start();
    assert!(code == Some(3) && said.contains("older than its anchor") && said.contains("doctor --accept"), "{said}");
    let complaints = server.complaints(&[]);
    assert!(complaints.len() == 1 && complaints[0].contains("older than its anchor"), "{complaints:?}");
    server.operates(&["doctor", "--data-dir", "data", "--accept"]);
    server.start();
    let listed = server.ok(&["secret", "list"], "");
    assert!(listed.contains("first") && !listed.contains("second"), "{listed}");
    server.end();
}
