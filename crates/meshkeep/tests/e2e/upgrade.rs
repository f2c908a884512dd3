//! A server of an earlier release is replaced by this one while its services run. The releases are those that
//! `scripts/lib/get-release` left in the target directory's `tools/releases`; `scripts/test` makes those that
//! `tests/upgrade-from` names, and fails when one of them was not replaced here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;

use crate::{
    leftovers,
    process::{eventually, run, text},
    server::{Server, program, workload},
};

const VALUE: &str = "a value of the release before";
const NEW_VALUE: &str = "another one";
/// The number of each line says that the log has no gap; the length, which value the service has.
const COUNTS: &str =
    "command: sh -c 'trap \"exit 0\" TERM; i=0; while :; do i=$((i+1)); echo line $i ${#KEPT_VALUE}; sleep 0.05; done'";

fn releases() -> Vec<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target directory");
    let made = fs::read_dir(target.join("tools/releases")).into_iter().flatten().flatten();
    made.map(|entry| entry.path().join("meshkeep")).filter(|release| release.exists()).collect()
}

fn schema(server: &Server) -> i64 {
    let sql = "SELECT max(version) FROM _sqlx_migrations";
    let output = run(Command::new("sqlite3").args(["-readonly"]).arg(server.data_dir().join("meshkeep.db")), sql);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().parse().expect("a number")
}

/// How many lines there are, each with the length of this value.
#[track_caller]
fn lines(server: &Server, session: &str, value: &str) -> usize {
    let log = server.log(session, "counts");
    for (number, line) in (1..).zip(log.lines()) {
        assert_eq!(line, format!("line {number} {}", value.len()), "{log}");
    }
    log.lines().count()
}

#[track_caller]
fn until_further_lines(server: &Server, session: &str, value: &str, than: usize) -> usize {
    eventually("further lines", || match lines(server, session, value) {
        lines if lines > than => Ok(lines),
        lines => Err(format!("{lines} of {than}")),
    })
}

#[test]
fn running_services_are_adopted_and_the_way_back_is_refused() {
    for release in releases() {
        for signal in [Signal::TERM, Signal::KILL] {
            replaced(&release, signal);
        }
        // `scripts/test` looks for it.
        fs::write(release.with_file_name("replaced"), "").expect("the place can be written");
    }
}

fn replaced(release: &Path, signal: Signal) {
    let mut server = Server::of(release.to_owned());
    let secret = server.secret("counts-keys", &format!("KEPT_VALUE='{VALUE}'\n"));
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("counts", &format!("image: {image}\npull_secret: {pull}\nsecrets: [{secret}]\n{COUNTS}"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    let processes = leftovers::processes(&session);
    let started = workload(&server.session(&session), "counts")["started_at"].clone();
    let seen = until_further_lines(&server, &session, VALUE, 0);
    let former = schema(&server);
    server.stop(signal);

    // The new release finds them, with their logs, and all that was kept.
    server.release = program();
    server.start();
    let found = server.until_ready(&session);
    let counts = workload(&found, "counts");
    assert_eq!((&counts["started_at"], counts["restarts"].as_u64()), (&started, Some(0)), "{counts}");
    // `sleep` is a process of its own, a new one for each line; the shell stays.
    let still = leftovers::processes(&session);
    assert!(processes.iter().any(|pid| still.contains(pid)), "{processes:?}, then {still:?}");
    until_further_lines(&server, &session, VALUE, seen + 20);
    let revealed = server.ok(&["secret", "show", &secret, "--reveal"], "");
    assert!(revealed.contains(VALUE), "the value of before is not there");
    assert_eq!(server.complaints(&[]), Vec::<String>::new());

    // And goes on with them: a new value reaches the service at its restart, and a session is launched beside.
    server.ok(&["secret", "keys", "update", &secret, "--from-env-file", "-"], &format!("KEPT_VALUE='{NEW_VALUE}'\n"));
    server.ok(&["session", "restart", &session, "counts"], "");
    server.log_with(&session, "counts", &format!(" {}", NEW_VALUE.len()));
    let beside = server.launch("beside");
    server.until_ready(&beside);
    until_further_lines(&server, &beside, NEW_VALUE, 0);
    server.ok(&["session", "terminate", &beside], "");

    // The way back: refused by name, and nothing is changed or ended by the attempt.
    server.stop(signal);
    if schema(&server) > former {
        server.release = release.to_owned();
        let (code, said) = server.refuses_to_start();
        assert_eq!(code, Some(3), "{said}");
        let words = ["schema", "start the meshkeep version that wrote it, or a newer one"];
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        server.release = program();
    }
    server.start();
    server.until_ready(&session);
    assert_eq!(server.complaints(&[]), Vec::<String>::new());
    server.end();
}
