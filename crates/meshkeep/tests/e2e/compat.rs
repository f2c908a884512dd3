//! The public Python client, unmodified, of two versions: every call it has, against the built program.
//!
//! `scripts/test` installs them and says where; by hand: `scripts/lib/get-meshagent 0.39.9 target/tools/meshagent-0.39.9`.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use crate::{
    image,
    process::{run, text},
    registry::{PASSWORD, USER},
    server::Server,
};

/// Where the installed clients are, and where the table of what they saw goes.
fn tools() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    target.parent().expect("it is in the target directory").join("tools")
}

/// A version's program, or nothing where it is not installed: `scripts/test` says so, and counts it as left out.
fn program(version: &str, name: &str) -> Option<PathBuf> {
    let path = tools().join(format!("meshagent-{version}/bin/{name}"));
    path.exists().then_some(path)
}

/// Runs one of the project's drivers in a user's environment.
fn drive(server: &Server, mut command: Command, base: &str) -> Output {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", home.path());
    command.envs([("TERM", "dumb"), ("COLUMNS", "200"), ("NO_COLOR", "1"), ("OTEL_SDK_DISABLED", "true")]);
    command.env("MESHAGENT_API_URL", format!("{}{base}", server.url()));
    command.env("MESHAGENT_API_KEY", server.key()).env("MESHAGENT_PROJECT_ID", server.project());
    run(&mut command, "")
}

fn walk(version: &str, base: &str) {
    let Some(python) = program(version, "python") else { return };
    let server = Server::new();
    let mut command = Command::new(python);
    command.arg(image::repository().join("tests/compat/walk.py"));
    command.args([&server.registry.image(), USER, PASSWORD]);
    let output = drive(&server, command, base);
    let (table, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{table}\n{said}\n{}", server.said());
    for value in ["second value", PASSWORD] {
        assert!(!server.said().contains(value), "the server's log has a value");
    }
    let works: BTreeSet<_> = table.lines().filter(|line| line.split('\t').nth(2) == Some("works")).collect();
    assert!(works.len() > 40, "the walk was short: {table}");
    let path = tools().join(format!("walked-{version}.tsv"));
    fs::write(path, table).expect("the place can be written");
    server.end();
}

#[test]
fn client_0_20_6_makes_every_call_it_has() {
    walk("0.20.6", "");
}

#[test]
fn client_0_28_15_makes_every_call_it_has() {
    walk("0.28.15", "/compat/0.28");
}

#[test]
fn client_0_35_8_makes_every_call_it_has() {
    walk("0.35.8", "");
}

#[test]
fn client_0_39_9_makes_every_call_it_has() {
    walk("0.39.9", "");
}
