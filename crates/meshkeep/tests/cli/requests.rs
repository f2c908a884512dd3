//! What each command sends, byte for byte, and what it prints of the answer.

use serde_json::{Value, json};

use crate::support::{Fake, ID, KEY, PROJECT, Sent, one_line, run, text};

const OTHER: &str = "0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3e";

/// Runs a command that must succeed against these answers; what it printed and sent.
#[track_caller]
fn done(arguments: &[&str], input: &str, answers: Vec<(u16, Value)>) -> (String, Vec<Sent>) {
    let fake = Fake::new(answers);
    let output = run(&mut fake.command(arguments), input);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let sent = fake.sent();
    for Sent { line, headers, .. } in &sent {
        let has_key = headers.to_lowercase().contains(&format!("authorization: bearer {}", KEY.to_lowercase()));
        assert!(has_key, "{line} without the key");
    }
    (text(&output.stdout), sent)
}

fn lines(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|sent| sent.line.replace(PROJECT, "P")).collect()
}

fn saved() -> Value {
    json!({"id": ID, "name": "w", "type": "keys", "version": 3, "applies": "At the next launch.", "sessions_on_older": 2})
}

#[test]
fn entries_arrive_byte_for_byte_from_every_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pem");
    std::fs::write(&file, "-----\r\n é $HOME \n\n").unwrap();
    let from_file = format!("PEM={}", file.display());
    let create = ["secret", "keys", "create", "w", "--from-env-file", "/dev/stdin", "--from-file", &from_file];
    let (shown, sent) = done(&create, "export A='x \"$y\\'\nB=\"1\n2\"\nC=\n", vec![(201, saved())]);
    assert_eq!(lines(&sent), ["POST P/secrets"]);
    let data = json!({"A": "x \"$y\\", "B": "1\n2", "C": "", "PEM": "-----\r\n é $HOME \n\n"});
    assert_eq!(sent[0].body, json!({"name": "w", "type": "keys", "data": data}));
    for word in ["w saved as version 3", ID, "At the next launch."] {
        assert!(shown.contains(word), "{shown}");
    }
    let (shown, _) = done(
        &["secret", "keys", "create", "--name", "w", "--from-env-file", "-", "--json"],
        "A=1",
        vec![(201, saved())],
    );
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["id"], ID);
}

#[test]
fn an_update_changes_what_is_given_and_finds_a_secret_by_its_name() {
    let list = json!({"secrets": [{"id": ID, "name": "w", "type": "keys", "data": {"A": "[redacted]"}}]});
    let update = ["secret", "keys", "update", "w", "--from-env-file", "-", "--unset", "B", "--if-version", "2"];
    let (_, sent) = done(&update, "A=1", vec![(200, list.clone()), (200, saved())]);
    assert_eq!(lines(&sent), ["GET P/secrets".to_owned(), format!("PATCH P/secrets/{ID}")]);
    assert_eq!(sent[1].body, json!({"set": {"A": "1"}, "unset": ["B"]}));
    assert!(sent[1].headers.contains("if-match: \"2\""), "{}", sent[1].headers);

    let replace = ["secret", "keys", "update", "--secret-id", ID, "--replace", "--from-env-file", "-"];
    let item = list["secrets"][0].clone();
    let (_, sent) = done(&replace, "A=1", vec![(200, item), (200, saved())]);
    assert_eq!(lines(&sent)[1], format!("PUT P/secrets/{ID}"));
    assert_eq!(sent[1].body, json!({"name": "w", "type": "keys", "data": {"A": "1"}}));

    let fake = Fake::new(vec![(200, list)]);
    let output = run(&mut fake.command(&["secret", "delete", "nothing"]), "");
    one_line(&output, 6, &["no secret nothing", "meshkeep secret list"]);
}

#[test]
fn pull_secrets_of_three_spellings() {
    let docker = ["secret", "docker", "create", "r", "--server", "h:1", "--username", "u", "--password-stdin"];
    let (_, sent) = done(&docker, "p w\n", vec![(201, saved())]);
    let data = json!({"server": "h:1", "username": "u", "password": "p w", "email": "none@example.com"});
    assert_eq!(sent[0].body, json!({"name": "r", "type": "docker", "data": data}));

    let acr = ["secret", "acr", "create", "--name", "r", "--server", "h", "--username", "u", "--password-stdin"];
    let (_, sent) = done(&acr, "p", vec![(201, saved())]);
    assert_eq!(sent[0].body["data"]["email"], "none@microsoft.com");

    let gar = ["secret", "gar", "create", "r", "--server", "h", "--json-key", "-"];
    let (_, sent) = done(&gar, "{\"private_key\": \"x\"}\n", vec![(201, saved())]);
    let data = json!({
        "server": "h", "username": "_json_key", "password": "{\"private_key\": \"x\"}", "email": "none@google.com",
    });
    assert_eq!(sent[0].body["data"], data);

    let update = ["secret", "docker", "update", ID, "--username", "v"];
    let (_, sent) = done(&update, "", vec![(200, saved())]);
    assert_eq!(lines(&sent), [format!("PATCH P/secrets/{ID}")]);
    assert_eq!(sent[0].body, json!({"set": {"username": "v"}}));
}

#[test]
fn a_sealed_value_that_is_too_short_to_be_redacted_is_told() {
    let yaml = "version: v1\nkind: Service\nmetadata: {name: weather}\ncontainer:\n  image: r/w:1\n  environment:\n    \
                - {name: API_TOKEN, value: tiny}\n    - {name: DB_PASSWORD, value: long-enough}\n    - {name: MODE, value: x}\n";
    let spec = json!({"version": "v1", "kind": "Service", "id": ID, "metadata": {"name": "weather"}});
    let fake = Fake::new(vec![(201, spec)]);
    let output = run(&mut fake.command(&["service", "create", "--file", "-"]), yaml);
    let told = text(&output.stderr);
    assert!(output.status.success() && told.lines().count() == 1, "{told}");
    assert!(told.contains("`API_TOKEN` is under 6 bytes") && !told.contains("tiny"), "{told}");
}

#[test]
fn a_rolling_restart_is_followed_to_its_end_and_one_that_stops_is_a_failure() {
    let restart = |state: &str, first: &str, second: &str| {
        let step = |room: &str, outcome: &str| {
            let reason = json!({"code": "crashed", "message": "it ended with code 1", "hint": ""});
            let mut step = json!({"session_id": ID, "room_name": room, "outcome": outcome});
            if outcome == "failed" {
                step["reason"] = reason;
            }
            step
        };
        json!({
            "id": ID, "service_id": ID, "service_name": "weather", "state": state, "started_by": "key k",
            "created_at": "2026-01-02T03:04:05Z", "ended_at": null, "hint": if state == "stopped" { "mend it" } else { "" },
            "sessions": [step("lobby", first), step("attic", second)],
        })
    };
    let begun = restart("running", "restarting", "pending");
    let answers = vec![(202, begun.clone()), (200, restart("done", "ready", "ready"))];
    let (shown, sent) = done(&["service", "restart", ID], "", answers);
    assert_eq!(lines(&sent), [format!("POST P/services/{ID}/restart"), format!("GET P/services/{ID}/restart")]);
    assert_eq!(shown, "weather is ready in 2 of 2 sessions.\n");
    let (shown, sent) = done(&["service", "restart", ID, "--no-wait"], "", vec![(202, begun.clone())]);
    assert!(sent.len() == 1 && shown.contains("attic: pending") && shown.contains("0 of 2"), "{shown}");
    let (_, sent) = done(&["service", "restart", ID, "--status"], "", vec![(200, begun.clone())]);
    assert_eq!(lines(&sent), [format!("GET P/services/{ID}/restart")]);

    let fake = Fake::new(vec![(202, begun), (200, restart("stopped", "failed", "skipped"))]);
    let output = run(&mut fake.command(&["service", "restart", ID]), "");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{told}");
    for words in ["lobby: failed, it ended with code 1", "attic: skipped", "mend it"] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_service_is_pinned_and_its_environment_shown() {
    let spec = json!({
        "version": "v1", "kind": "Service", "id": ID, "metadata": {"name": "weather"}, "container": {"image": "r/w:1@sha256:a"},
    });
    for verb in ["pin", "unpin"] {
        let (shown, sent) = done(&["service", verb, ID], "", vec![(200, spec.clone())]);
        assert_eq!(lines(&sent), [format!("POST P/services/{ID}/{verb}")]);
        assert!(shown.contains("r/w:1@sha256:a"), "{shown}");
    }
    let variables = json!({"variables": [
        {"name": "A", "from": "secret", "secret": "one", "hides": [{"from": "platform"}, {"from": "image"}]},
        {"name": "B", "from": "manifest"},
    ]});
    let answers = vec![(200, spec.clone()), (200, variables.clone())];
    let (shown, sent) = done(&["service", "environment", ID, "--room", "lobby"], "", answers);
    let expected = [format!("GET P/rooms/lobby/services/{ID}"), "POST P/rooms/lobby/services/environment".to_owned()];
    assert_eq!(lines(&sent), expected);
    assert_eq!(sent[1].body, spec);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows: Vec<_> = shown.lines().map(words).collect();
    assert_eq!(rows[..3], ["NAME FROM HIDES", "A secret key one meshkeep, image", "B environment -"]);
    let yaml = "version: v1\nkind: Service\nmetadata: {name: weather}\ncontainer: {image: r/w:1}\n";
    let (_, sent) = done(&["service", "environment", "--file", "-"], yaml, vec![(200, variables)]);
    assert_eq!(lines(&sent), ["POST P/services/environment"]);
}

#[test]
fn a_pull_secret_is_tried_and_a_refusal_is_a_failure_with_its_fix() {
    let tested = json!({"ok": true, "code": "ok", "message": "h gives it as sha256:1"});
    let (shown, sent) = done(&["secret", "test", ID, "h/a:1"], "", vec![(200, tested)]);
    assert_eq!(
        (lines(&sent), shown.as_str()),
        (vec!["POST P/pull-secrets/test".to_owned()], "h gives it as sha256:1.\n")
    );
    assert_eq!(sent[0].body, json!({"secret_id": ID, "image": "h/a:1"}));

    let refused = json!({"ok": false, "code": "wrong_credential", "message": "h refuses it", "hint": "update it"});
    let fake = Fake::new(vec![(200, refused)]);
    one_line(&run(&mut fake.command(&["secret", "test", ID, "h/a:1"]), ""), 1, &["h refuses it", "update it"]);
}

#[test]
fn a_service_is_updated_by_the_name_in_its_manifest_or_made() {
    let yaml = "version: v1\nkind: Service\nid: ignored\nmetadata: {name: weather}\ncontainer: {image: r/w:1}\n";
    let spec = json!({
        "version": "v1", "kind": "Service", "id": ID, "metadata": {"name": "weather"}, "container": {"image": "r/w:1"},
    });
    let list = json!({"services": [spec.clone()]});
    let update = ["service", "update", "--file", "-", "--create"];
    let (_, sent) = done(&update, yaml, vec![(200, list), (200, spec.clone())]);
    assert_eq!(lines(&sent), ["GET P/services".to_owned(), format!("PUT P/services/{ID}")]);
    assert!(sent[1].body.get("id").is_none(), "{}", sent[1].body);

    let (_, sent) = done(&update, yaml, vec![(200, json!({"services": []})), (201, spec.clone())]);
    assert_eq!(lines(&sent), ["GET P/services", "POST P/services"]);

    let (shown, sent) = done(&["service", "show", ID, "--room", "lobby"], "", vec![(200, spec.clone())]);
    assert_eq!(lines(&sent), [format!("GET P/rooms/lobby/services/{ID}")]);
    assert!(shown.starts_with("version: v1\nkind: Service\n"), "{shown}");
    assert!(shown.contains("  image: r/w:1"), "{shown}");

    let fake = Fake::new(vec![(200, json!({"services": []}))]);
    let output = run(&mut fake.command(&["service", "update", "--file", "-"]), yaml);
    one_line(&output, 6, &["weather", "--create"]);
}

fn session(state: &str, workloads: Value) -> Value {
    json!({
        "id": ID, "room_id": OTHER, "room_name": "lobby", "created_at": "2026-01-02T03:04:05.000Z", "is_active": true,
        "participants": null, "state": state, "ended_at": null, "workloads": workloads,
    })
}

fn workload(name: &str, state: &str, reason: Value) -> Value {
    json!({
        "id": OTHER, "service_id": OTHER, "service_name": name, "state": state, "reason": reason, "exit_code": null,
        "restarts": 0, "image": "r/w:1", "image_digest": null, "started_at": null,
        "secrets": [{"id": OTHER, "name": "keys", "version": 1, "newest": 2}], "pull_secret": null,
    })
}

#[test]
fn a_launch_makes_the_room_that_is_not_there() {
    let gone = json!({"error": {"code": "not_found", "message": "no room", "hint": "", "request_id": "r"}});
    let room = json!({"id": OTHER, "name": "lobby", "metadata": {}, "annotations": {}});
    let answers = vec![(404, gone), (201, room), (201, session("starting", json!([])))];
    let (shown, sent) = done(&["session", "launch", "lobby"], "", answers);
    assert_eq!(lines(&sent), ["POST P/rooms/lobby/sessions", "POST P/rooms", "POST P/rooms/lobby/sessions"]);
    for word in [ID, "meshkeep session show", "meshkeep session logs", "meshkeep session terminate"] {
        assert!(shown.contains(word), "{shown}");
    }
}

#[test]
fn a_launch_waits_until_each_service_came_to_something() {
    let reason =
        json!({"code": "wrong_credential", "message": "The registry refuses it.", "hint": "Check the password."});
    let both = |state: &str| json!([workload("bad", "failed", reason.clone()), workload("good", state, Value::Null)]);
    let answers = vec![
        (201, session("starting", json!([]))),
        (200, session("degraded", both("pulling"))),
        (200, session("degraded", both("running"))),
        (200, session("degraded", both("ready"))),
    ];
    let fake = Fake::new(answers);
    let output = run(&mut fake.command(&["session", "launch", "lobby", "--wait"]), "");
    assert_eq!(fake.sent().len(), 4);
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(10), "{said}");
    for word in ["bad", "failed", "The registry refuses it. [wrong_credential]", "Check the password.", "newest is 2"] {
        assert!(shown.contains(word), "{shown}");
    }
    assert_eq!(said.lines().count(), 1, "nothing is drawn without a terminal: {said}");
    assert!(said.contains("not everything runs: bad"), "{said}");

    let ready = session("ready", json!([workload("good", "ready", Value::Null)]));
    done(&["session", "launch", "lobby", "--wait"], "", vec![(201, ready.clone()), (200, ready)]);
}

#[test]
fn a_session_is_found_by_its_room_and_a_service_by_its_name() {
    let list = json!({"sessions": [session("ready", Value::Null)]});
    let one = session("ready", json!([workload("a", "ready", Value::Null), workload("b", "ready", Value::Null)]));
    let answers = vec![(200, list.clone()), (200, one.clone()), (200, json!("line"))];
    let (shown, sent) = done(&["session", "logs", "lobby", "b", "--tail", "5", "-f"], "", answers);
    assert_eq!(
        lines(&sent),
        [
            "GET P/sessions".to_owned(),
            format!("GET P/sessions/{ID}"),
            format!("GET P/sessions/{ID}/services/{OTHER}/logs?tail=5&follow=true"),
        ]
    );
    assert_eq!(shown, "\"line\"");

    let fake = Fake::new(vec![(200, list), (200, one)]);
    one_line(&run(&mut fake.command(&["session", "restart", "lobby"]), ""), 2, &["which service", "a, b"]);
    let (_, sent) = done(&["session", "terminate", "--all"], "", vec![(204, Value::Null)]);
    assert_eq!(lines(&sent), ["POST P/sessions/terminate"]);
}

#[test]
fn a_key_is_shown_once_and_names_that_repeat_are_not_guessed() {
    let made = json!({"id": ID, "name": "ci", "description": "", "value": "ma-x", "role": "developer", "bind": false});
    let create = ["key", "create", "ci", "--role", "developer", "--no-bind"];
    let (shown, sent) = done(&create, "", vec![(201, made)]);
    assert_eq!(sent[0].body, json!({"name": "ci", "role": "developer", "bind": false}));
    assert!(shown.contains("ma-x") && shown.contains("shown this once"), "{shown}");
    let key = |id: &str| {
        json!({
            "id": id, "name": "ci", "description": "", "role": "admin", "bind": true,
            "created_at": "2026-01-02T03:04:05.000Z",
        })
    };
    let fake = Fake::new(vec![(200, json!({"keys": [key(ID), key(OTHER)]}))]);
    one_line(&run(&mut fake.command(&["key", "delete", "ci"]), ""), 7, &["2 keys", ID, OTHER]);
}

#[test]
fn the_audit_is_listed_exported_to_its_end_and_verified() {
    let row = |seq: i64| {
        json!({"seq": seq, "at": "2026-01-01T00:00:00.000Z", "actor": "key k", "action": "secret.reveal",
            "object": "s", "origin": "127.0.0.1", "outcome": "refused: not_allowed"})
    };
    let page = |rows: Vec<Value>| (200, json!({"rows": rows}));
    let (shown, sent) = done(&["audit", "list", "--limit", "2"], "", vec![page(vec![row(7)])]);
    assert_eq!(lines(&sent), ["GET P/audit?limit=2"]);
    assert!(shown.contains("secret.reveal") && shown.contains("refused: not_allowed"), "{shown}");
    let (shown, sent) = done(&["audit", "export"], "", vec![page(vec![row(7), row(9)]), page(vec![])]);
    assert_eq!(lines(&sent), ["GET P/audit?limit=1000&after=0", "GET P/audit?limit=1000&after=9"]);
    let exported: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exported, [row(7), row(9)]);
    let (shown, _) = done(&["audit", "verify"], "", vec![(200, json!({"fits": true}))]);
    assert!(shown.contains("Every row"), "{shown}");
    let fake = Fake::new(vec![(200, json!({"fits": false, "first_wrong": 8}))]);
    let output = run(&mut fake.command(&["audit", "verify"]), "");
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("Row 8") && text(&output.stderr).contains("row 8"), "{output:?}");
}
