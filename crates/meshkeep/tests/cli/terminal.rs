//! What happens on a terminal: hidden prompts, and progress that is drawn. `script` gives the program one.

use std::{
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Fake, ID, text};

/// The program on a terminal of its own.
struct Typist {
    child: Child,
    seen: Vec<u8>,
}

impl Typist {
    fn new(fake: &Fake, arguments: &str) -> Self {
        let program = format!("{} {arguments}", env!("CARGO_BIN_EXE_meshkeep"));
        let mut script = Command::new("script");
        script.args(["-qefc", &program, "/dev/null"]).env_clear().env("PATH", "/usr/bin:/bin").env("SHELL", "/bin/sh");
        fake.environment(&mut script);
        let child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script is there");
        Self { child, seen: Vec::new() }
    }

    /// Waits for the question, then types.
    fn answer(&mut self, question: &str, keys: &str) {
        let out = self.child.stdout.as_mut().expect("it is piped");
        while !self.seen.ends_with(question.as_bytes()) {
            let mut byte = [0];
            let read = out.read(&mut byte).expect("the terminal can be read");
            assert!(read > 0, "`{question}` was not asked: {}", text(&self.seen));
            self.seen.push(byte[0]);
        }
        let keyboard = self.child.stdin.as_mut().expect("it is piped");
        keyboard.write_all(keys.as_bytes()).and_then(|()| keyboard.flush()).expect("the terminal takes keys");
    }

    /// All that was seen, and the exit code.
    fn end(mut self) -> (String, Option<i32>) {
        let out = self.child.stdout.as_mut().expect("it is piped");
        out.read_to_end(&mut self.seen).expect("the terminal can be read");
        let status = self.child.wait().expect("a child can be waited for");
        (text(&self.seen), status.code())
    }
}

fn saved() -> Value {
    json!({"id": ID, "name": "w", "type": "keys", "version": 1, "applies": "At the next launch.", "sessions_on_older": 0})
}

#[test]
fn values_are_asked_for_and_not_shown() {
    let fake = Fake::new(vec![(201, saved())]);
    let mut typist = Typist::new(&fake, "secret keys create w TOKEN PIN");
    typist.answer("TOKEN: ", "wrong\x15hunter2 \"$x\" é\r");
    typist.answer("PIN: ", "1234\r");
    let (seen, code) = typist.end();
    assert_eq!(code, Some(0), "{seen}");
    assert!(!seen.contains("hunter2") && !seen.contains("1234") && !seen.contains("wrong"), "{seen}");
    assert_eq!(fake.sent()[0].body["data"], json!({"TOKEN": "hunter2 \"$x\" é", "PIN": "1234"}));
}

#[test]
fn without_names_they_are_asked_for_too() {
    let fake = Fake::new(vec![(201, saved())]);
    let mut typist = Typist::new(&fake, "secret keys create w");
    typist.answer("Entry (empty to end): ", "A\r");
    typist.answer("A: ", "hunter2\r");
    typist.answer("Entry (empty to end): ", "9A\r");
    typist.answer("Entry (empty to end): ", "\r");
    let (seen, code) = typist.end();
    assert_eq!(code, Some(0), "{seen}");
    assert!(!seen.contains("hunter2"), "{seen}");
    assert_eq!(fake.sent()[0].body["data"], json!({"A": "hunter2"}));
}

#[test]
fn a_password_is_asked_for_and_can_be_cancelled() {
    let fake = Fake::new(vec![(201, saved())]);
    let mut typist = Typist::new(&fake, "secret docker create r --server h --username u");
    typist.answer("Password or token: ", "hunter2\r");
    let (seen, code) = typist.end();
    assert_eq!(code, Some(0), "{seen}");
    assert_eq!(fake.sent()[0].body["data"]["password"], "hunter2");

    let nobody = Fake::new(vec![]);
    let mut typist = Typist::new(&nobody, "secret docker create r --server h --username u");
    typist.answer("Password or token: ", "hunt\x03");
    let (seen, code) = typist.end();
    assert_eq!(code, Some(2), "{seen}");
    assert!(seen.contains("cancelled; nothing was saved") && !seen.contains("hunt"), "{seen}");
}

#[test]
fn a_pull_shows_the_bytes_of_each_layer() {
    let session = |state: &str, workload: Value| {
        json!({
            "id": ID, "room_id": null, "room_name": "lobby", "created_at": "2026-01-02T03:04:05.000Z", "is_active": true,
            "participants": null, "state": state, "ended_at": null, "workloads": [workload],
        })
    };
    let workload = |state: &str, progress: Value| {
        json!({
            "id": ID, "service_id": ID, "service_name": "weather", "state": state, "reason": null, "exit_code": null,
            "restarts": 0, "image": "r/w:1", "image_digest": null, "started_at": null, "secrets": [],
            "pull_secret": null, "progress": progress,
        })
    };
    let layers = json!([
        {"layer": "sha256:aaaaaaaaaaaabbbb", "done": 1_048_576, "total": 4_194_304},
        {"layer": "sha256:ccccccccccccdddd", "done": 10, "total": 10},
    ]);
    let fake = Fake::new(vec![
        (201, session("starting", workload("pending", json!([])))),
        (200, session("starting", workload("pulling", layers))),
        (200, session("ready", workload("ready", json!([])))),
    ]);
    let (seen, code) = Typist::new(&fake, "session launch lobby --wait").end();
    assert_eq!(code, Some(0), "{seen}");
    for word in [
        "weather  pulling  1.0 MiB of 4.0 MiB",
        "aaaaaaaaaaaa  [#####...............] 1.0 MiB of 4.0 MiB",
        "\x1b[2A\x1b[J",
    ] {
        assert!(seen.contains(word), "`{word}` is not in: {seen}");
    }
    assert!(!seen.contains("cccccccccccc"), "a whole layer needs no line: {seen}");
}
