//! What is refused before anything is sent, and how a server's refusal arrives.

use std::net::TcpListener;

use serde_json::json;

use crate::support::{Fake, ID, KEY, bare, one_line, run, text};

/// With a key, and with a server that nobody must reach.
fn alone(arguments: &[&str], input: &str) -> std::process::Output {
    run(bare(arguments).env("MESHAGENT_API_KEY", KEY).env("MESHAGENT_API_URL", "http://127.0.0.1:1"), input)
}

#[test]
fn values_in_arguments_are_refused_and_not_repeated() {
    for (arguments, words) in [
        (vec!["secret", "keys", "create", "--name", "w", "--data", "A=hunter2 B=x"], vec!["--data", "--from-file"]),
        (vec!["secret", "keys", "create", "--name", "w", "--data", "A=hunter2", "B=hunter2"], vec!["--data"]),
        (vec!["secret", "keys", "update", "--secret-id", ID, "--data", "A=hunter2"], vec!["--data"]),
        (vec!["secret", "keys", "create", "w", "A=hunter2"], vec!["name alone", "--from-env-file"]),
        (
            vec!["secret", "docker", "create", "r", "--server", "s", "--username", "u", "--password", "hunter2"],
            vec!["--password", "--password-stdin"],
        ),
        (
            vec!["secret", "gar", "create", "r", "--server", "s", "--json-key", "{\"k\":\"hunter2\"}"],
            vec!["--json-key PATH"],
        ),
    ] {
        let said = one_line(&alone(&arguments, ""), 2, &words);
        assert!(said.contains("never come from arguments") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_file_that_does_not_fit_is_named_with_its_line_and_without_its_values() {
    let create = ["secret", "keys", "create", "w", "--from-env-file", "-"];
    for (input, words) in [
        ("A=hunter2\nhunter2\n", ["line 2", "NAME=value"]),
        ("A='hunter2\n\n", ["line 1", "not closed"]),
        ("A=1\nB=2\nA=hunter2\n", ["line 3", "A is there already, in line 1"]),
        ("9A=hunter2\n", ["line 1", "digit"]),
    ] {
        let said = one_line(&alone(&create, input), 2, &words);
        assert!(!said.contains("hunter2"), "{said}");
    }
    let twice = ["secret", "keys", "create", "w", "--from-env-file", "-", "--from-file", "B=-"];
    one_line(&alone(&twice, "A=1\n"), 2, &["only once"]);
    let missing = ["secret", "keys", "create", "w", "--from-file", "B=/nowhere/b"];
    one_line(&alone(&missing, ""), 2, &["/nowhere/b", "cannot be read"]);
    let no_name = ["secret", "keys", "create", "w", "--from-file", "/nowhere/b"];
    one_line(&alone(&no_name, ""), 2, &["ENTRY=PATH"]);
    let not_json = ["secret", "gar", "create", "r", "--server", "s", "--json-key", "-"];
    one_line(&alone(&not_json, "hunter2"), 2, &["JSON key"]);
    let empty = ["secret", "docker", "create", "r", "--server", "s", "--username", "u", "--password-stdin"];
    one_line(&alone(&empty, "\n"), 2, &["password is empty"]);
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    one_line(&alone(&["secret", "keys", "create", "w"], ""), 2, &["--from-env-file", "--from-file"]);
    one_line(&alone(&["secret", "keys", "create", "w", "A"], ""), 2, &["no terminal", "--from-file"]);
    let docker = ["secret", "docker", "create", "r", "--server", "s", "--username", "u"];
    one_line(&alone(&docker, ""), 2, &["--password-stdin"]);
}

#[test]
fn a_manifest_that_does_not_fit_is_refused_with_its_line() {
    let yaml = "version: v1\nkind: Service\nmetadata:\n  name: a\ncontainer:\n  imag: x\n";
    one_line(&alone(&["service", "create", "--file", "-"], yaml), 2, &["line 6", "imag"]);
    let checked = "version: v1\nkind: Service\nmetadata:\n  name: a b\ncontainer:\n  image: x\n";
    one_line(&alone(&["service", "validate", "--file", "-"], checked), 2, &["metadata.name"]);
    let good = checked.replace("a b", "a");
    assert!(alone(&["service", "validate", "--file", "-"], &good).status.success());
}

#[test]
fn what_is_missing_is_said() {
    one_line(&run(&mut bare(&["secret", "list"]), ""), 2, &["MESHAGENT_API_KEY"]);
    let no_key = run(bare(&["secret", "list"]).env("MESHAGENT_API_KEY", "hunter2"), "");
    assert!(!one_line(&no_key, 2, &["MESHAGENT_PROJECT_ID"]).contains("hunter2"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let unreached = run(bare(&["secret", "list", "--api-url", &url]).env("MESHAGENT_API_KEY", KEY), "");
    one_line(&unreached, 8, &[&url, "cannot be reached", "meshkeep serve"]);
    let usage = run(&mut bare(&["session", "launch"]), "");
    assert_eq!(usage.status.code(), Some(2), "{}", text(&usage.stderr));
}

#[test]
fn each_kind_of_refusal_has_its_exit_code() {
    for (status, code) in
        [(400, 1), (413, 1), (401, 5), (403, 5), (404, 6), (409, 7), (412, 7), (503, 8), (429, 8), (500, 9)]
    {
        let error = json!({"code": "c", "message": "it is\nso\u{1b}[2J", "hint": "do this", "request_id": "r-1"});
        let fake = Fake::new(vec![(status, json!({ "error": error }))]);
        let output = run(&mut fake.command(&["key", "list"]), "");
        let said = one_line(&output, code, &["it is so", if status == 500 { "r-1" } else { "(do this)" }]);
        assert!(!said.contains('\u{1b}'), "{said:?}");
        fake.sent();
    }
    let fake = Fake::new(vec![(502, json!("a proxy's page"))]);
    one_line(&run(&mut fake.command(&["key", "list"]), ""), 9, &["502", "not as meshkeep does"]);
    let fake = Fake::new(vec![(200, json!({"other": 1}))]);
    one_line(&run(&mut fake.command(&["key", "list"]), ""), 9, &["not one that this program knows"]);
    let fake = Fake::new(vec![(307, json!(null))]);
    one_line(&run(&mut fake.command(&["key", "list"]), ""), 9, &["307"]);
}
