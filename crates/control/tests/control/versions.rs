//! A save says when it applies, and who still runs an older version.

use meshkeep_core::{Refusal, wire::VersionChanges};
use serde_json::json;

use crate::world::{World, of, write};

#[tokio::test]
async fn a_save_counts_the_sessions_that_still_run_an_older_version() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "one"})).await;
    let service = world.service("weather", json!({"secrets": [secret]})).await;
    let saved = world.save_secret(secret, "s", json!({"A": "two"})).await;
    assert_eq!((saved.version, saved.sessions_on_older), (2, 0));
    assert!(saved.applies.contains("next session launch") && saved.applies.contains("no running session"));

    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    let saved = world.save_secret(secret, "s", json!({"A": "three"})).await;
    assert_eq!(saved.sessions_on_older, 1);
    assert!(saved.applies.contains("1 running session still uses an older version"), "{}", saved.applies);
    let shown = world.session(session).await;
    let used = &of(&shown, "weather").secrets[0];
    assert_eq!((used.version, used.newest), (2, Some(3)));

    world.restart(session, service).await.unwrap();
    let shown = world.session(session).await;
    assert_eq!((of(&shown, "weather").secrets[0].version, of(&shown, "weather").secrets[0].newest), (3, None));
    world.save_secret(secret, "s", json!({"A": "four"})).await;
    world.terminate(session).await;
    let saved = world.save_secret(secret, "s", json!({"A": "five"})).await;
    assert_eq!(saved.sessions_on_older, 0, "an ended session runs nothing");
    world.end().await;
}

#[tokio::test]
async fn warnings_name_entries_and_no_value() {
    let world = World::new().await;
    let data = json!({"KEY": "value-with-newline\n", "PAD": " value-padded", "TINY": "v1", "FINE": "value-of-fine"});
    let saved = world.control.create_secret(&world.admin, world.project, write("s", "keys", data)).await.unwrap();
    let all = saved.warnings.join("\n");
    for name in ["`KEY` ends with a newline", "`PAD` begins or ends with a blank", "`TINY` is under"] {
        assert!(all.contains(name), "{all}");
    }
    assert!(saved.warnings.len() == 3 && !all.contains("value-") && !all.contains("v1"), "{all}");
    world.end().await;
}

#[tokio::test]
async fn a_patch_changes_single_entries_of_both_kinds() {
    let world = World::new().await;
    let pull = world.pull_secret("one").await;
    let patch = async |id, change: serde_json::Value| {
        let change = serde_json::from_value(change).unwrap();
        world.control.patch_secret(&world.admin, world.project, id, change, None).await
    };
    let refused = |outcome: Result<_, Refusal>, words: &str| {
        let refusal = outcome.map(|_: meshkeep_core::wire::SecretSaved| ()).unwrap_err();
        assert!(refusal.message.contains(words), "{refusal}");
    };
    patch(pull, json!({"set": {"password": "two"}, "unset": ["email"]})).await.unwrap();
    refused(patch(pull, json!({"unset": ["password"]})).await, "data.password");
    refused(patch(pull, json!({"set": {"token": "x"}})).await, "data.token");
    let keys = world.secret("k", json!({"A": "a"})).await;
    refused(patch(keys, json!({"unset": ["B"]})).await, "`unset`");
    refused(patch(keys, json!({"set": {"B": "[redacted]"}})).await, "data.B");
    refused(patch(keys, json!({"set": {"B": "x".repeat(131_072)}})).await, "B");
    patch(keys, json!({"set": {"A": "[redacted]", "B": "b"}, "name": "renamed"})).await.unwrap();
    let revealed = world.control.reveal_secret(&world.admin, world.project, keys).await.unwrap();
    let values: Vec<_> = revealed.data.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!((revealed.name.as_str(), revealed.version, values), ("renamed", 2, vec![("A", "a"), ("B", "b")]));
    world.end().await;
}

#[tokio::test]
async fn an_environment_over_the_limit_is_refused_at_save_by_its_size() {
    let world = World::new().await;
    let large =
        |letter: &str| json!({"A": letter.repeat(100_000), "B": letter.repeat(100_000), "C": letter.repeat(100_000)});
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let data: serde_json::Map<_, _> = large("x")
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (format!("{name}{key}"), value.clone()))
            .collect();
        ids.push(world.secret(name, data.into()).await);
    }
    let create = async |ids: &[_]| {
        let spec = world.spec("weather", json!({"secrets": ids}));
        let scope = meshkeep_control::Scope::Project;
        world.control.create_service(&world.admin, world.project, scope, spec).await
    };
    let refusal = create(&ids).await.unwrap_err();
    assert_eq!(refusal.code, "over_a_limit");
    assert!(refusal.message.contains("120"), "it names the size: {refusal}");
    create(&ids[..3]).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn versions_say_which_names_changed() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "a", "B": "b"})).await;
    world.save_secret(secret, "s", json!({"A": "other", "C": "c"})).await;
    world.save_secret(secret, "s", json!({"A": "other", "C": "c"})).await;
    world.control.rollback_secret(&world.admin, world.project, secret, 1).await.unwrap();
    let versions = world.control.secret_versions(&world.admin, world.project, secret).await.unwrap().versions;
    let changes: Vec<_> = versions
        .into_iter()
        .map(|version| (version.version, version.changes.unwrap()))
        .map(|(version, VersionChanges { added, changed, removed })| {
            (version, [added, changed, removed].map(|n| n.concat()))
        })
        .collect();
    let named = |version, names: [&str; 3]| (version, names.map(str::to_owned));
    let expected =
        [named(4, ["B", "A", "C"]), named(3, ["", "", ""]), named(2, ["C", "A", "B"]), named(1, ["AB", "", ""])];
    assert_eq!(changes, expected);
    world.end().await;
}

#[tokio::test]
async fn only_the_newest_versions_are_kept_and_those_in_use() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "1"})).await;
    let service = world.service("weather", json!({"secrets": [secret]})).await;
    world.save_secret(secret, "s", json!({"A": "2"})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    for n in 3..=25 {
        world.save_secret(secret, "s", json!({"A": n.to_string()})).await;
    }
    let kept = async || {
        let versions = world.control.secret_versions(&world.admin, world.project, secret).await.unwrap().versions;
        assert!(versions.last().unwrap().changes.is_none(), "what came before the oldest is not known");
        versions.into_iter().map(|version| version.version).collect::<Vec<_>>()
    };
    let expected: Vec<_> = (6..=25).rev().chain([2]).collect();
    assert_eq!(kept().await, expected, "the 20 newest, and the one that runs");
    assert_eq!(world.store.examine(None).await.unwrap().damages, []);
    let pruned = world.control.rollback_secret(&world.admin, world.project, secret, 3).await.unwrap_err();
    assert!(pruned.message.contains("no version 3"), "{pruned}");
    world.restart(session, service).await.unwrap();
    world.save_secret(secret, "s", json!({"A": "26"})).await;
    assert_eq!(kept().await, (7..=26).rev().collect::<Vec<_>>());
    world.end().await;
}
