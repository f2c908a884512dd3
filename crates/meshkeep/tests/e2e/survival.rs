//! The server ends, in order or not: services live on, and the next server finds them with their logs and states.

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    leftovers,
    process::eventually,
    server::{Server, workload},
};

const COUNTS: &str = "command: sh -c 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done'";

fn line_count(server: &Server, session: &str) -> usize {
    let log = server.log(session, "counts");
    for (number, line) in (1..).zip(log.lines()) {
        assert_eq!(line, format!("line {number}"), "a gap in the log");
    }
    log.lines().count()
}

#[test]
fn services_live_on_and_are_found_again_without_a_gap_in_their_logs() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("counts", &format!("image: {image}\npull_secret: {pull}\n{COUNTS}"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    let before = leftovers::processes(&session);
    let started = workload(&server.session(&session), "counts")["started_at"].clone();
    let mut seen = eventually("some lines", || match line_count(&server, &session) {
        0 => Err("none".to_owned()),
        lines => Ok(lines),
    });
    for signal in [Signal::TERM, Signal::KILL] {
        server.stop(signal);
        // `sleep` is a process of its own, a new one for each line; the shell stays.
        assert!(before.iter().any(|pid| leftovers::processes(&session).contains(pid)), "{signal:?} ended it");
        server.start();
        let found = server.until_ready(&session);
        let workload = workload(&found, "counts");
        assert_eq!((&workload["started_at"], workload["restarts"].as_u64()), (&started, Some(0)), "{workload}");
        let wanted = seen + 20;
        seen = eventually("further lines", || match line_count(&server, &session) {
            lines if lines > wanted => Ok(lines),
            lines => Err(format!("{lines} of {wanted}")),
        });
    }
    server.end();
}

#[test]
fn what_happened_while_no_server_ran_is_noticed() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let common = format!("image: {image}\npull_secret: {pull}");
    server.service("counts", &format!("{common}\n{COUNTS}"));
    server.service("ends", &format!("{common}\ncommand: sh -c 'while [ ! -e /tmp/end ]; do sleep 0.02; done'"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    server.stop(Signal::KILL);
    for pid in leftovers::processes(&session) {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_shell = command.starts_with(b"sh\0");
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|_| is_shell) {
            // It may be gone by itself: the container's first process takes the others along.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    eventually("their end", || match leftovers::processes(&session).len() {
        0 => Ok(()),
        left => Err(format!("{left} processes")),
    });
    server.start();
    let found = server.until(&session, "the restart of both", |session| {
        ["counts", "ends"].iter().all(|name| {
            let workload = workload(session, name);
            workload["restarts"].as_u64() > Some(0) && workload["state"] == "ready"
        })
    });
    assert_eq!(workload(&found, "counts")["exit_code"], 137, "{found}");
    assert!(!leftovers::processes(&session).is_empty());
    server.end();
}

#[test]
fn a_session_that_is_terminated_stays_over_after_a_restart() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("counts", &format!("image: {image}\npull_secret: {pull}\n{COUNTS}"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    server.ok(&["session", "terminate", &session], "");
    server.stop(Signal::KILL);
    server.start();
    assert_eq!(server.session(&session)["state"], "ended");
    assert!(leftovers::processes(&session).is_empty());
    server.end();
}
