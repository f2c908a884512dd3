//! A value is rotated in all running sessions, with real containers; a bad one reaches only the first.

use crate::{
    process::text,
    server::{Server, workload},
};

/// Ends at once when its value is not what it can work with, else tells it in another form and stays.
const WORKS: &str = "command: sh -c 'case $WEATHER_KEY in good-*) ;; *) exit 7;; esac; echo version ${#WEATHER_KEY}; trap \"exit 0\" TERM; while :; do sleep 0.1; done'";

#[test]
fn a_rotated_value_reaches_every_session_and_a_bad_one_only_the_first() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let key = server.secret("weather-key", "WEATHER_KEY=good-one\n");
    let image = server.registry.image();
    server.service("weather", &format!("image: {image}\npull_secret: {pull}\nsecrets: [{key}]\n{WORKS}"));
    let sessions: Vec<_> = ["first", "second", "third"].map(|room| server.launch(room)).into();
    sessions.iter().for_each(|session| drop(server.until_ready(session)));

    let saved =
        server.ok(&["secret", "keys", "update", "weather-key", "--from-env-file", "-"], "WEATHER_KEY=good-three\n");
    assert!(saved.contains("3 running sessions"), "{saved}");
    let said = server.ok(&["service", "restart", "weather"], "");
    assert!(said.contains("ready in 3 of 3"), "{said}");
    for session in &sessions {
        assert!(
            server.log(session, "weather").ends_with("version 8\nversion 10\n"),
            "{}",
            server.log(session, "weather")
        );
    }

    server.ok(&["secret", "keys", "update", "weather-key", "--from-env-file", "-"], "WEATHER_KEY=worthless\n");
    let stopped = server.cli(&["service", "restart", "weather"], "");
    let told = text(&stopped.stderr);
    assert_eq!(stopped.status.code(), Some(10), "{told}");
    assert!(
        told.contains("first: failed") && told.contains("second: skipped") && told.contains("third: skipped"),
        "{told}"
    );
    assert!(!told.contains("worthless"), "{told}");
    for session in &sessions[1..] {
        let shown = server.session(session);
        let workload = workload(&shown, "weather");
        assert_eq!((workload["state"].as_str(), workload["secrets"][0]["version"].as_u64()), (Some("ready"), Some(2)));
        assert_eq!(workload["secrets"][0]["newest"], 3);
    }
    server.ok(&["secret", "rollback", "weather-key", "2"], "");
    assert!(server.ok(&["service", "restart", "weather"], "").contains("ready in 3 of 3"));
    server.end();
}
