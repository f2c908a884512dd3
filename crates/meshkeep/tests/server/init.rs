//! `meshkeep init`: once, private, and all or nothing.

use std::{fs, os::unix::fs::MetadataExt as _, process::Command};

use meshkeep_core::{api_key::ApiKeyText, wire::Initialised};

use crate::support::{Place, one_line, program, run, text};

fn names(place: &Place) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(place.path("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn makes_a_private_directory_a_key_beside_it_and_shows_the_first_api_key_once() {
    let place = Place::empty();
    let output = place.init(&["--json", "--project-name", "acme"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let members: Vec<_> = printed.as_object().unwrap().keys().collect();
    assert_eq!(members, ["api_key", "api_key_id", "project_id", "project_name"]);
    let made: Initialised = serde_json::from_value(printed).unwrap();
    let key = ApiKeyText::parse(made.api_key.expose()).unwrap();
    assert_eq!((key.id, key.project, made.project_name.as_str()), (made.api_key_id, made.project_id, "acme"));

    assert_eq!(names(&place), ["data", "data.anchor", "data.root-key"]);
    let mode = |name: &str| place.path(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode("data"), mode("data.root-key"), mode("data/meshkeep.db")), (0o700, 0o600, 0o600));
    for (path, (_, _, content)) in place.tree() {
        let holds = content.windows(key.secret.len()).any(|part| part == key.secret.expose().as_bytes());
        assert!(!holds, "{} holds the key's secret", path.display());
    }
}

#[test]
fn says_how_to_go_on_without_json() {
    let output = Place::empty().init(&[]);
    let said = text(&output.stdout);
    for word in ["shown this once", "ma-", "meshkeep serve --data-dir", "MESHAGENT_PROJECT_ID=", "back it up"] {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

#[test]
fn is_private_whatever_the_umask() {
    let place = Place::empty();
    let script = format!("umask 000; exec {} init --data-dir data", program());
    assert!(run(Command::new("sh").current_dir(place.path("")).args(["-c", &script])).status.success());
    for (path, (mode, _, _)) in place.tree() {
        assert_eq!(mode & 0o077, 0, "{} is open to others", path.display());
    }
}

#[test]
fn a_second_time_is_refused_and_changes_nothing() {
    let place = Place::new();
    let before = place.tree();
    one_line(&place.init(&[]), 3, &["already", "data", "meshkeep serve"]);
    one_line(&place.init(&["--root-key-file", "other-key"]), 3, &["already"]);
    assert!(place.tree() == before, "a file changed");
}

#[test]
fn what_is_there_is_never_touched() {
    let place = Place::empty();
    fs::write(place.key(), "mine").unwrap();
    one_line(&place.init(&[]), 3, &["data.root-key", "never overwritten"]);
    assert_eq!(names(&place), ["data.root-key"]);
    assert_eq!(fs::read(place.key()).unwrap(), b"mine");

    fs::create_dir(place.data()).unwrap();
    fs::write(place.path("data/notes"), "mine").unwrap();
    one_line(&place.init(&["--root-key-file", "k"]), 3, &["is not empty"]);
    assert_eq!(names(&place), ["data", "data.root-key"]);
    assert_eq!(fs::read(place.path("data/notes")).unwrap(), b"mine");

    fs::remove_file(place.path("data/notes")).unwrap();
    assert!(place.init(&["--root-key-file", "k"]).status.success(), "an empty directory may be there");
}

#[test]
fn a_run_that_fails_leaves_nothing_behind() {
    let place = Place::empty();
    one_line(&place.init(&["--root-key-file", "nowhere/key"]), 3, &["nowhere/key", "could not be made"]);
    one_line(&place.init(&["--root-key-file", "data/key"]), 2, &["inside the data directory"]);
    one_line(&place.init(&["--project-name", " x"]), 2, &["project name"]);
    let nowhere = run(Command::new(program()).current_dir(place.path("")).args(["init", "--data-dir", "no/where"]));
    one_line(&nowhere, 3, &["there is no directory"]);
    assert!(names(&place).is_empty(), "{:?}", names(&place));
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let place = Place::empty();
    fs::create_dir(place.path(".meshkeep-init-abc123")).unwrap();
    fs::write(place.path(".meshkeep-init-abc123/meshkeep.db"), "half").unwrap();
    assert!(place.init(&[]).status.success());
    assert_eq!(names(&place), ["data", "data.anchor", "data.root-key"]);
}
