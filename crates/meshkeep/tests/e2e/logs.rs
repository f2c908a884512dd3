//! A log that is followed.

use std::process::Stdio;

use crate::{process::eventually, process::text, server::Server};

#[test]
fn a_followed_log_has_every_line_and_ends_with_the_session() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let command =
        "command: sh -c 'trap \"echo over; exit 0\" TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done'";
    server.service("counts", &format!("image: {image}\npull_secret: {pull}\n{command}"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    let follow = server
        .command(&["session", "logs", &session, "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("forty lines", || {
        let log = server.log(&session, "counts");
        if log.lines().count() > 40 { Ok(()) } else { Err(log) }
    });
    server.ok(&["session", "terminate", &session], "");
    let output = follow.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let log = text(&output.stdout);
    let mut lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.pop(), Some("over"), "{log}");
    for (number, line) in (1..).zip(&lines) {
        assert_eq!(*line, format!("line {number}"));
    }
    assert!(lines.len() > 40);
    server.end();
}
