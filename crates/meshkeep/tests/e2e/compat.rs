//! The public clients, unmodified: every call they have, against the built program. One that is not installed is left
//! out here; `scripts/test` installs two and, with `--full`, all, and counts as left out what it could not install.
//!
//! By hand: `scripts/lib/get-meshagent 0.39.9 target/tools/meshagent-0.39.9`.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    image,
    process::{is_full, run, text},
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
    let path = tools().join(format!("meshagent-{version}/{name}"));
    path.exists().then_some(path)
}

/// Runs a driver in a user's environment, against a server of its own, and keeps its table.
fn drive(name: &str, mut command: Command, base: &str) {
    let server = Server::new();
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    command.args([&server.registry.image(), USER, PASSWORD]);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", home.path());
    command.envs([("TERM", "dumb"), ("COLUMNS", "300"), ("NO_COLOR", "1"), ("OTEL_SDK_DISABLED", "true")]);
    command.env("MESHAGENT_API_URL", format!("{}{base}", server.url()));
    command.env("MESHAGENT_API_KEY", server.key()).env("MESHAGENT_PROJECT_ID", server.project());
    let output = run(&mut command, "");
    let (table, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{table}\n{said}\n{}", server.said());
    for value in ["second value", "second-value", PASSWORD] {
        assert!(!server.said().contains(value), "the server's log has a value");
    }
    let works = table.lines().filter(|line| line.split('\t').nth(2) == Some("works")).count();
    assert!(works > 30, "the walk was short: {table}");
    fs::write(tools().join(format!("seen-{name}.tsv")), table).expect("the place can be written");
    server.end();
}

fn python(version: &str, base: &str) {
    let Some(python) = program(version, "bin/python") else { return };
    let mut command = Command::new(python);
    command.arg(image::repository().join("tests/compat/walk.py"));
    drive(version, command, base);
}

#[test]
fn client_0_20_6_makes_every_call_it_has() {
    python("0.20.6", "");
}

#[test]
fn client_0_28_15_makes_every_call_it_has() {
    python("0.28.15", "/compat/0.28");
}

#[test]
fn client_0_35_8_makes_every_call_it_has() {
    python("0.35.8", "");
}

#[test]
fn client_0_39_9_makes_every_call_it_has() {
    python("0.39.9", "");
}

#[test]
fn client_npm_0_35_8_makes_every_call_it_has() {
    let Some(modules) = program("npm-0.35.8", "node_modules") else { return };
    let mut command = Command::new("node");
    command.arg(image::repository().join("tests/compat/walk.mjs")).arg(modules.parent().expect("it is in a directory"));
    drive("npm-0.35.8", command, "");
}

/// A command takes seconds to start, and there are some fifty; with `scripts/test --full` only.
fn commands(version: &str, base: &str) {
    let Some(python) = program(version, "bin/python").filter(|_| is_full()) else {
        return;
    };
    let mut command = Command::new(python);
    command.arg(image::repository().join("tests/compat/commands.py"));
    drive(&format!("commands-{version}"), command, base);
}

#[test]
fn command_line_0_28_15_does_what_it_is_for() {
    commands("0.28.15", "/compat/0.28");
}

#[test]
fn command_line_0_39_9_does_what_it_is_for() {
    commands("0.39.9", "");
}
