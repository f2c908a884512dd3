//! A host's clock that jumps while the server runs: nothing ends, nothing waits for the clock to come round, and nothing that
//! is kept is doubted. libfaketime stands between the server and the clock; services and their supervisors have the true one.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::{
    process::eventually,
    server::{Server, workload},
};

/// How far the clock that a program sees is off.
struct Clock {
    dir: TempDir,
}

impl Clock {
    fn new() -> Self {
        let clock = Self { dir: tempfile::tempdir().expect("a temporary directory can be made") };
        clock.jumps("+0");
        clock
    }

    /// `+40d`, `-1d`: from the true time.
    fn jumps(&self, by: &str) {
        let (file, part) = (self.file(), self.dir.path().join("part"));
        fs::write(&part, format!("{by}\n")).expect("the place can be written");
        fs::rename(part, file).expect("the place can be written");
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// What makes a program see it. Only the time of day: the time since the start does not jump on any host.
    fn variables(&self) -> Vec<(String, String)> {
        let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let found = libraries.map(|entry| entry.path().join("faketime/libfaketime.so.1")).find(|path| path.exists());
        let library = found.expect("Debian's package libfaketime is installed");
        [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

#[test]
fn a_clock_that_jumps_ends_nothing_and_holds_nothing_up() {
    let clock = Clock::new();
    let mut server = Server::initialised("127.0.0.1:0", &[], clock.variables());
    server.start();
    let pull = server.good_pull_secret();
    let key = server.secret("steady-keys", "STEADY_API_KEY=sixteen-or-more-of-them\n");
    let common = format!("image: {}\npull_secret: {pull}\nsecrets: [{key}]", server.registry.image());
    let steady = "command: sh -c 'trap \"exit 0\" TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done'";
    server.service("steady", &format!("{common}\n{steady}"));
    server.service("crashes", &format!("{common}\ncommand: sh -c 'sleep 0.2; exit 1'"));
    let session = server.launch("lobby");
    server.until(&session, "ready", |session| workload(session, "steady")["state"] == "ready");
    let started = |server: &Server, session: &str| server.session(session)["created_at"].as_str().unwrap().to_owned();
    let launched = started(&server, &session);

    for (by, room) in [("+40d", "in-the-future"), ("-40d", "in-the-past"), ("+1h", "an-hour-on"), ("+0", "now-again")] {
        let lines = server.log(&session, "steady").lines().count();
        // In the pause after its first crashes.
        let crashing = server.launch(&format!("before-{room}"));
        let restarts = |session: &serde_json::Value| workload(session, "crashes")["restarts"].as_u64().unwrap();
        let crashed = restarts(&server.until(&crashing, "a restart", |session| restarts(session) > 0));
        clock.jumps(by);
        // It is started again after its pause, not after the jump.
        server.until(&crashing, &format!("another restart after {by}"), |session| restarts(session) > crashed);
        // The rest works as before: launches, values, the log, and a look at all that is kept.
        let other = server.launch(room);
        server.until(&other, "ready", |session| workload(session, "steady")["state"] == "ready");
        let seen = started(&server, &other);
        match by {
            "+40d" => assert!(seen[..10] > launched[..10], "the server did not see {by}: {seen} after {launched}"),
            "-40d" => assert!(seen[..10] < launched[..10], "the server did not see {by}: {seen} after {launched}"),
            _ => {}
        }
        server.ok(&["session", "terminate", &crashing], "");
        server.ok(&["session", "terminate", &other], "");
        server
            .ok(&["secret", "keys", "update", &key, "--from-env-file", "-"], &format!("STEADY_API_KEY=as-of-{room}\n"));
        assert!(server.ok(&["secret", "show", &key, "--reveal"], "").contains(&format!("as-of-{room}")));
        eventually("further lines", || match server.log(&session, "steady") {
            log if log.lines().count() > lines + 20 => Ok(()),
            log => Err(format!("{} after {lines}", log.lines().count())),
        });
        assert_eq!(server.complaints(&[]), Vec::<String>::new(), "{by}");
    }
    let steady = workload(&server.session(&session), "steady").clone();
    assert_eq!((&steady["state"], steady["restarts"].as_u64()), (&"ready".into(), Some(0)), "{steady}");
    for (number, line) in (1..).zip(server.log(&session, "steady").lines()) {
        assert_eq!(line, format!("line {number}"), "a gap in the log");
    }
    server.end();
}
