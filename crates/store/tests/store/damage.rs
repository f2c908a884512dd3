//! Damage behind the store's back: each kind is really done, is named, stops only what it touches, and can be accepted.

use std::{fs, path::Path};

use meshkeep_core::{
    SecretText,
    access::{Grant, Role},
    id::{ApiKeyId, ProjectId, SecretId},
    secret::SecretKind,
    service::ServiceSpec,
};
use meshkeep_store::{AuditEntry, NewApiKey, Scope, Store, StoreError};

use crate::place::{Place, entries, row};

/// A store with secrets, a service and two keys, one of them deleted, as the operations above make and audit them.
struct Kept {
    place: Place,
    project: ProjectId,
    /// Saved twice.
    first: SecretId,
    /// Never touched by an attack.
    other: SecretId,
    key: ApiKeyId,
}

impl Kept {
    async fn new() -> Self {
        let place = Place::new();
        let (store, project) = place.create().await;
        let mut tx = store.write("test").await.unwrap();
        let audited = |action: &str, object: String| AuditEntry {
            project: Some(project),
            action: action.to_owned(),
            object,
            ..row()
        };
        let mut made = Vec::new();
        for (name, value) in [("first", "one"), ("other", "stays")] {
            let name = name.parse().unwrap();
            let secret =
                tx.create_secret(project, &name, SecretKind::Keys, &entries(&[("A", value)]), "test").await.unwrap();
            tx.audit(&audited("secret.create", format!("{} version 1", secret.id))).await.unwrap();
            made.push(secret);
        }
        let first = tx.save_secret(&made[0], &made[0].name, &entries(&[("A", "two")]), "test").await.unwrap();
        tx.audit(&audited("secret.save", format!("{} version 2", first.id))).await.unwrap();
        let spec = ServiceSpec::bare("weather");
        let name = "weather".parse().unwrap();
        let service = tx.create_service(project, Scope::Project, &name, &spec, &[first.id]).await.unwrap();
        tx.audit(&audited("service.create", format!("{} revision 1", service.id))).await.unwrap();
        let secret = SecretText::from("hmac");
        let grant = Grant { role: Role::Member, bind: false };
        let new = || NewApiKey { name: "ci", description: "", grant, service: None, secret: &secret, by: "test" };
        let key = tx.create_api_key(project, new()).await.unwrap().id;
        let gone = tx.create_api_key(project, new()).await.unwrap().id;
        for id in [key, gone] {
            tx.audit(&audited("api_key.create", id.to_string())).await.unwrap();
        }
        tx.commit().await.unwrap();
        // As an attacker would: a copy of what was there once.
        store.close().await;
        place.tamper("CREATE TABLE kept_key AS SELECT * FROM api_keys").await;
        place.tamper("CREATE TABLE kept_secret AS SELECT * FROM secrets").await;
        let store = Store::open(place.options()).await.unwrap();
        let mut tx = store.write("test").await.unwrap();
        assert!(tx.delete_api_key(project, gone).await.unwrap());
        tx.audit(&audited("api_key.delete", gone.to_string())).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;
        Self { place, project, first: first.id, other: made[1].id, key }
    }

    /// What is said of the damage, and that nothing else suffers from it.
    async fn examined(&self, what: &str, takes_saves: bool) -> Vec<String> {
        let store = Store::open(self.place.options()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut tx = store.read("test").await.unwrap();
        let other = tx.open_secret(self.project, self.other, 1).await.unwrap().unwrap();
        assert_eq!(other["A"].expose(), "stays", "{what}");
        assert!(
            tx.secrets(self.project).await.unwrap().iter().any(|secret| secret.id == self.other && !secret.damaged)
        );
        drop(tx);
        let mut tx = store.write("test").await.unwrap();
        let other = tx.secret(self.project, self.other).await.unwrap().unwrap();
        let saved = tx.save_secret(&other, &other.name, &entries(&[("A", "saved beside damage")]), "test").await;
        // Only where the list itself is damaged nothing can be put into it.
        assert_eq!(saved.is_ok(), takes_saves, "{what}");
        drop(tx);
        let examined = store.examine(Some(&self.place.anchor())).await.unwrap();
        store.close().await;
        assert!(examined.opened > 3, "{what}: {} things opened", examined.opened);
        examined.damages.into_iter().map(|damage| format!("{} {}", damage.object, damage.what)).collect()
    }
}

fn one_says(said: &[String], words: &[&str]) -> bool {
    said.iter().any(|line| words.iter().all(|word| line.contains(word)))
}

/// What is done, how, what is said of it, and whether the first secret can still be used.
type Attack = (&'static str, String, &'static [&'static str], bool);

fn attacks_on_secrets() -> Vec<Attack> {
    let secret = "(SELECT id FROM secrets WHERE name = 'first')";
    vec![
        (
            "swap two values",
            format!(
                "UPDATE secret_versions SET entries = (SELECT entries FROM secret_versions v WHERE v.secret_id <> {secret}) WHERE secret_id = {secret} AND version = 2"
            ),
            &["version 2 of secret", "first"],
            false,
        ),
        (
            "swap two versions",
            format!(
                "UPDATE secret_versions SET entries = (SELECT entries FROM secret_versions v WHERE v.secret_id = {secret} AND version = 1) WHERE secret_id = {secret} AND version = 2"
            ),
            &["version 2 of secret", "first"],
            false,
        ),
        (
            "flip a bit",
            format!(
                "UPDATE secret_versions SET entries = CAST(substr(entries, 1, 150) || x'00' || substr(entries, 152) AS BLOB) WHERE secret_id = {secret} AND version = 2"
            ),
            &["version 2 of secret", "first"],
            false,
        ),
        (
            "cut a value short",
            format!(
                "UPDATE secret_versions SET entries = substr(entries, 1, 40) WHERE secret_id = {secret} AND version = 2"
            ),
            &["version 2 of secret", "first"],
            false,
        ),
        (
            "empty a value",
            format!("UPDATE secret_versions SET entries = x'' WHERE secret_id = {secret} AND version = 2"),
            &["version 2 of secret", "first"],
            false,
        ),
        (
            "damage a summary",
            format!("UPDATE secret_versions SET summary = x'01' WHERE secret_id = {secret} AND version = 2"),
            &["version 2 of secret", "first"],
            false,
        ),
        (
            "remove a version",
            format!("DELETE FROM secret_versions WHERE secret_id = {secret} AND version = 1"),
            &["secret", "first", "not as it was saved"],
            false,
        ),
        (
            "wind a secret back",
            format!("UPDATE secrets SET version = 1 WHERE id = {secret}"),
            &["secret", "first", "not as it was saved"],
            false,
        ),
        (
            "rename",
            "UPDATE secrets SET name = 'zzz' WHERE name = 'first'".to_owned(),
            &["secret", "zzz", "not as it was saved"],
            false,
        ),
        (
            "remove a secret",
            format!("DELETE FROM secret_versions WHERE secret_id = {secret}; DELETE FROM secrets WHERE name = 'first'"),
            &["secret", "was removed behind meshkeep's back", "version 2"],
            false,
        ),
        (
            "mark as deleted",
            "UPDATE secrets SET deleted_at = 1 WHERE name = 'first'".to_owned(),
            &["secret", "first", "not as it was saved"],
            false,
        ),
    ]
}

fn attacks_on_the_rest() -> Vec<Attack> {
    vec![
        (
            "make a member an admin",
            "UPDATE api_keys SET role = 'admin'".to_owned(),
            &["API key", "not as it was made"],
            true,
        ),
        (
            "put a deleted key back",
            "INSERT OR IGNORE INTO api_keys SELECT * FROM kept_key".to_owned(),
            &["API key", "was put back after it was deleted"],
            true,
        ),
        ("remove a key", "DELETE FROM api_keys".to_owned(), &["API key", "was removed behind"], true),
        (
            "damage a service",
            "UPDATE services SET manifest = x'00'".to_owned(),
            &["service", "weather", "not as it was saved"],
            true,
        ),
        ("remove a service", "DELETE FROM services".to_owned(), &["service", "was removed behind"], true),
        ("count on", "UPDATE projects SET list_counter = list_counter + 1".to_owned(), &["list of project"], true),
        ("damage the list", "UPDATE projects SET list = x'00'".to_owned(), &["list of project"], true),
        (
            "change the audit",
            "DROP TRIGGER audit_is_append_only_update; UPDATE audit SET actor = 'nobody' WHERE seq = 2".to_owned(),
            &["audit row 2", "does not fit"],
            true,
        ),
        (
            "cut the audit short",
            "DROP TRIGGER audit_is_append_only_delete; DELETE FROM audit WHERE seq < 2".to_owned(),
            &["audit row 2", "does not fit"],
            true,
        ),
    ]
}

#[tokio::test]
async fn swapped_replayed_and_removed_rows_are_named() {
    assert_eq!(Kept::new().await.examined("nothing", true).await, Vec::<String>::new());
    for (what, sql, words, usable) in attacks_on_secrets().into_iter().chain(attacks_on_the_rest()) {
        let kept = Kept::new().await;
        kept.place.tamper(&sql).await;
        let said = kept.examined(what, !matches!(what, "count on" | "damage the list")).await;
        assert!(one_says(&said, words), "{what}: {said:?}");
        let store = Store::open(kept.place.options()).await.unwrap();
        let mut tx = store.read("test").await.unwrap();
        let opened = tx.open_secret(kept.project, kept.first, 2).await;
        let is_usable = opened.as_ref().is_ok_and(Option::is_some);
        assert_eq!(is_usable, usable, "{what}");
        let may_be_used = tx.api_key(kept.key).await.is_ok_and(|found| found.is_some());
        assert_eq!(may_be_used, !what.contains("admin") && what != "remove a key", "{what}");
        drop(tx);
        store.close().await;

        let store = Store::open(kept.place.options()).await.unwrap();
        store.accept(&kept.place.anchor()).await.unwrap();
        // A chain of rows that was broken stays so: nobody can write its rows again.
        let left = kept.examined(what, true).await;
        assert!(left.iter().all(|line| line.starts_with("audit row")), "{what}: {left:?}");
        assert_eq!(!left.is_empty(), what.contains("audit"), "{what}");
    }
}

/// A secret's row and its digest as they were once, with the versions of that time: only list and audit can tell.
#[tokio::test]
async fn a_secret_put_back_whole_is_named_and_not_delivered() {
    let place = Place::new();
    let (store, project) = place.create().await;
    let audited = |action: &str, object: String| AuditEntry {
        project: Some(project),
        action: action.to_owned(),
        object,
        ..row()
    };
    let mut tx = store.write("test").await.unwrap();
    let name = "weather".parse().unwrap();
    let secret = tx.create_secret(project, &name, SecretKind::Keys, &entries(&[("A", "old")]), "test").await.unwrap();
    tx.audit(&audited("secret.create", format!("{} version 1", secret.id))).await.unwrap();
    tx.commit().await.unwrap();
    place.tamper("CREATE TABLE kept AS SELECT * FROM secrets").await;
    let mut tx = store.write("test").await.unwrap();
    let second = tx.save_secret(&secret, &name, &entries(&[("A", "new")]), "test").await.unwrap();
    tx.audit(&audited("secret.save", format!("{} version 2", second.id))).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    place
        .tamper("DELETE FROM secret_versions WHERE version = 2; DELETE FROM secrets; INSERT INTO secrets SELECT * FROM kept")
        .await;
    let store = Store::open(place.options()).await.unwrap();
    let mut tx = store.read("test").await.unwrap();
    let refused = tx.open_secret(project, secret.id, 1).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, StoreError::Damaged { .. }) && text.contains("was put back as of version 1"), "{text}");
    assert!(text.contains("version 2 was saved (audit row 2)"), "{text}");
    assert!(tx.secrets(project).await.unwrap()[0].damaged);
    assert!(!refused.refusal().hint.is_empty());
}

#[tokio::test]
async fn an_old_database_put_back_is_refused_by_name_and_can_be_accepted() {
    let kept = Kept::new().await;
    let database = kept.place.data().join("meshkeep.db");
    let old = fs::read(&database).unwrap();
    let store = Store::open(kept.place.options()).await.unwrap();
    let mut tx = store.write("test").await.unwrap();
    let other = tx.secret(kept.project, kept.other).await.unwrap().unwrap();
    tx.save_secret(&other, &other.name, &entries(&[("A", "newer")]), "test").await.unwrap();
    tx.audit(&AuditEntry { project: Some(kept.project), ..row() }).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    fs::write(&database, &old).unwrap();

    let before = kept.place.files();
    let error = Store::open(kept.place.options()).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Older { .. }), "{error}");
    assert!(error.to_string().contains("does not have row 8"), "{error}");
    assert_eq!(kept.place.files(), before, "a refused database was changed");
    // Looking at it says the same, and that all of it opens.
    let store = Store::open_to_examine(kept.place.options()).await.unwrap();
    let said = store.examine(Some(&kept.place.anchor())).await.unwrap().damages;
    assert!(said.len() == 1 && said[0].what.contains("older than its anchor"), "{said:?}");
    store.close().await;

    let anchor = kept.place.anchor();
    let accepting = || async {
        let store = Store::open_to_accept(kept.place.options()).await.unwrap();
        store.accept(&anchor).await.unwrap()
    };
    assert_eq!(accepting().await, []);
    Store::open(kept.place.options()).await.unwrap().close().await;

    // Neither does taking the anchor away hide it, nor putting another's in its place.
    for (what, text) in [("is not there", None), ("was changed", Some("meshkeep anchor 1\n00\n"))] {
        match text {
            None => fs::remove_file(&anchor).unwrap(),
            Some(text) => fs::write(&anchor, text).unwrap(),
        }
        let error = Store::open(kept.place.options()).await.map(drop).unwrap_err();
        assert!(matches!(error, StoreError::NoAnchor { .. }) && error.to_string().contains(what), "{error}");
        accepting().await;
        Store::open(kept.place.options()).await.unwrap().close().await;
    }
}

/// The anchor is written after the commit: a crash in between leaves a database that is ahead of it, which is none's fault.
#[tokio::test]
async fn a_database_ahead_of_its_anchor_opens() {
    let kept = Kept::new().await;
    let anchor = fs::read(kept.place.anchor()).unwrap();
    let store = Store::open(kept.place.options()).await.unwrap();
    let mut tx = store.write("test").await.unwrap();
    tx.audit(&AuditEntry { project: Some(kept.project), ..row() }).await.unwrap();
    tx.commit().await.unwrap();
    store.anchor_is_behind().await;
    store.close().await;
    assert_ne!(fs::read(kept.place.anchor()).unwrap(), anchor, "closing writes it");
    fs::write(kept.place.anchor(), anchor).unwrap();
    Store::open(kept.place.options()).await.unwrap();
}

/// Every byte of the file, one after the other: whatever is damaged, nothing panics, and no wrong value is delivered.
#[tokio::test]
async fn no_flipped_byte_of_the_file_makes_a_wrong_value() {
    let kept = Kept::new().await;
    let database = kept.place.data().join("meshkeep.db");
    let good = fs::read(&database).unwrap();
    let (mut refused, mut opened) = (0, 0);
    // A prime step: over the runs of one test it lands in every table and column.
    for at in (0..good.len()).step_by(307) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x41;
        write_whole(&database, &bytes);
        let Ok(store) = Store::open(kept.place.options()).await else {
            refused += 1;
            continue;
        };
        let mut tx = store.read("test").await.unwrap();
        for (id, value) in [(kept.first, "two"), (kept.other, "stays")] {
            let version = if id == kept.first { 2 } else { 1 };
            if let Ok(Some(found)) = tx.open_secret(kept.project, id, version).await {
                assert_eq!(found["A"].expose(), value, "byte {at}");
                opened += 1;
            }
        }
        drop(tx);
        store.close_without_anchor().await;
    }
    assert!(refused > 5 && opened > 50, "{refused} refused, {opened} values opened");
}

fn write_whole(database: &Path, bytes: &[u8]) {
    for suffix in ["-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::remove_file(name);
    }
    fs::write(database, bytes).unwrap();
}
