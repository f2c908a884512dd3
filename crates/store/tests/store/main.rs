//! The store on real SQLite files: what is saved is there, what is stolen shows nothing, what is damaged is named.

mod damage;
mod nonces;
mod place;
mod rotate;
mod upgrade;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use meshkeep_core::{
    Clock, SecretText, Timestamp,
    access::{Grant, Role},
    secret::SecretKind,
};
use meshkeep_seal::RootKey;
use meshkeep_store::{AuditCheck, AuditEntry, NewApiKey, Store, StoreError, StoreOptions};

use place::{Disk, Place, contains, entries, row, save};

#[tokio::test]
async fn versions_are_kept_and_nothing_on_disk_shows_a_value() {
    let place = Place::new();
    let (store, project) = place.create().await;
    let secret = save(&store, project, "weather", &[("API_KEY", "canary-one-a1b2c3"), ("EMPTY", "")]).await;
    let mut tx = store.write("test").await.unwrap();
    let renamed = "weather-api".parse().unwrap();
    let second =
        tx.save_secret(&secret, &renamed, &entries(&[("API_KEY", "canary-two-d4e5f6\n")]), "test").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((second.version, second.name.as_str()), (2, "weather-api"));

    let mut tx = store.read("test").await.unwrap();
    let first = tx.open_secret(project, secret.id, 1).await.unwrap().unwrap();
    assert_eq!(first["API_KEY"].expose(), "canary-one-a1b2c3");
    assert_eq!(first["EMPTY"].expose(), "");
    let newest = tx.open_secret(project, secret.id, 2).await.unwrap().unwrap();
    assert_eq!(newest["API_KEY"].expose(), "canary-two-d4e5f6\n");
    assert!(tx.open_secret(project, secret.id, 3).await.unwrap().is_none());
    assert_eq!(tx.secret_versions(&second).await.unwrap().len(), 2);
    drop(tx);

    let mut tx = store.write("test").await.unwrap();
    tx.delete_secret(&second, "test").await.unwrap();
    tx.commit().await.unwrap();
    for (path, bytes) in place.files() {
        for canary in ["canary-one", "canary-two", "API_KEY"] {
            assert!(!contains(&bytes, canary), "{canary} stands in {}", path.display());
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077, 0, "{} is open to others", path.display());
    }
    assert_eq!(fs::metadata(place.data()).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn names_are_unique_and_an_uncommitted_save_never_was() {
    let place = Place::new();
    let (store, project) = place.create().await;
    save(&store, project, "one", &[("A", "1")]).await;
    let mut tx = store.write("test").await.unwrap();
    let again = tx.create_secret(project, &"one".parse().unwrap(), SecretKind::Keys, &entries(&[]), "test").await;
    assert!(matches!(again, Err(StoreError::Taken { what: "secret name" })), "{again:?}");
    drop(tx);
    let mut tx = store.write("test").await.unwrap();
    tx.create_secret(project, &"two".parse().unwrap(), SecretKind::Keys, &entries(&[]), "test").await.unwrap();
    drop(tx);
    store.close().await;
    let store = Store::open(place.options()).await.unwrap();
    let names: Vec<_> = store
        .read("test")
        .await
        .unwrap()
        .secrets(project)
        .await
        .unwrap()
        .into_iter()
        .map(|s| s.name.to_string())
        .collect();
    assert_eq!(names, ["one"]);
}

#[tokio::test]
async fn fifty_writers_lose_nothing() {
    let place = Place::new();
    let (store, project) = place.create().await;
    let mut tasks = Vec::new();
    for n in 0..50 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move { save(&store, project, &format!("s{n}"), &[("A", "x")]).await }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut tx = store.read("test").await.unwrap();
    assert_eq!(tx.secrets(project).await.unwrap().len(), 50);
    drop(tx);
    assert!(store.examine(None).await.unwrap().damages.is_empty());
}

#[tokio::test]
async fn api_keys_open_only_with_the_root_key() {
    let place = Place::new();
    let (store, project) = place.create().await;
    let secret = SecretText::from("hmac-secret-canary");
    let grant = Grant { role: Role::Developer, bind: false };
    let mut tx = store.write("test").await.unwrap();
    let new = NewApiKey { name: "ci", description: "", grant, service: None, secret: &secret, by: "test" };
    let key = tx.create_api_key(project, new).await.unwrap();
    let (found, opened) = tx.api_key(key.id).await.unwrap().unwrap();
    assert_eq!((found.grant, opened.expose()), (grant, "hmac-secret-canary"));
    tx.commit().await.unwrap();
    assert!(place.files().iter().all(|(_, bytes)| !contains(bytes, "hmac-secret-canary")));
    let mut tx = store.write("test").await.unwrap();
    assert!(tx.delete_api_key(project, key.id).await.unwrap());
    assert!(!tx.delete_api_key(project, key.id).await.unwrap());
    assert!(tx.api_key(key.id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_audit_is_append_only_and_chained() {
    let place = Place::new();
    let (store, project) = place.create().await;
    let mut tx = store.write("test").await.unwrap();
    for (n, outcome) in [AuditEntry::DONE, "refused: not_allowed", AuditEntry::DONE].into_iter().enumerate() {
        let entry = AuditEntry {
            project: Some(project),
            actor: "key a".into(),
            action: "secret.save".into(),
            object: format!("secret s{n}"),
            origin: "127.0.0.1".into(),
            outcome: outcome.into(),
        };
        tx.audit(&entry).await.unwrap();
    }
    tx.commit().await.unwrap();
    let check = async || store.read("test").await.unwrap().check_audit().await.unwrap();
    let good = AuditCheck { rows: 3, first_wrong: None };
    assert_eq!(check().await, good);
    place.tamper("DROP TRIGGER audit_is_append_only_update; DROP TRIGGER audit_is_append_only_delete").await;
    for (forgery, undo) in [
        ("UPDATE audit SET actor = 'key b' WHERE seq = 2", "UPDATE audit SET actor = 'key a' WHERE seq = 2"),
        (
            "UPDATE audit SET outcome = 'done' WHERE seq = 2",
            "UPDATE audit SET outcome = 'refused: not_allowed' WHERE seq = 2",
        ),
        ("UPDATE audit SET at = at + 1 WHERE seq = 2", "UPDATE audit SET at = at - 1 WHERE seq = 2"),
        (
            "UPDATE audit SET project_id = 'x' WHERE seq = 2",
            "UPDATE audit SET project_id = (SELECT id FROM projects) WHERE seq = 2",
        ),
    ] {
        place.tamper(forgery).await;
        assert_eq!(check().await, AuditCheck { rows: 1, first_wrong: Some(2) }, "{forgery}");
        place.tamper(undo).await;
        assert_eq!(check().await, good, "{undo}");
    }
    place.tamper("DELETE FROM audit WHERE seq = 2").await;
    assert_eq!(check().await, AuditCheck { rows: 1, first_wrong: Some(3) });
    place.tamper("DELETE FROM audit WHERE seq = 1").await;
    assert_eq!(check().await, AuditCheck { rows: 0, first_wrong: Some(3) });
}

#[tokio::test]
async fn the_audit_is_read_by_project_and_page() {
    let place = Place::new();
    let (store, project) = place.create().await;
    let mut tx = store.write("test").await.unwrap();
    let other = tx.create_project("other").await.unwrap().id;
    for n in 0..6 {
        let project = Some(if n % 2 == 0 { project } else { other });
        tx.audit(&AuditEntry { project, object: n.to_string(), ..row() }).await.unwrap();
    }
    let mut page = async |after, limit| {
        let rows = tx.audit_rows(project, after, limit).await.unwrap();
        rows.into_iter().map(|row| (row.seq, row.entry.object)).collect::<Vec<_>>()
    };
    let row = |seq: i64| (seq, (seq - 1).to_string());
    assert_eq!(page(None, 2).await, [row(3), row(5)], "the newest, in order");
    assert_eq!(page(Some(0), 2).await, [row(1), row(3)]);
    assert_eq!(page(Some(3), 2).await, [row(5)]);
    assert_eq!(page(Some(5), 2).await, []);
}

async fn refused(place: &Place) -> StoreError {
    let before = place.files();
    let error = Store::open(place.options()).await.map(|_| ()).unwrap_err();
    assert_eq!(place.files(), before, "a refused database was changed");
    error
}

#[tokio::test]
async fn another_root_key_a_newer_schema_and_damage_are_refused_untouched() {
    let place = Place::new();
    let (store, _) = place.create().await;
    store.close().await;
    let database = place.data().join("meshkeep.db");
    let good = fs::read(&database).unwrap();

    let right_key = fs::read(place.dir.path().join("key")).unwrap();
    fs::remove_file(place.dir.path().join("key")).unwrap();
    RootKey::generate().save_new(&place.dir.path().join("key"), None).unwrap();
    assert!(matches!(refused(&place).await, StoreError::WrongKey { .. }));
    fs::write(place.dir.path().join("key"), right_key).unwrap();

    place.tamper("INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, 1, x'00', 1)").await;
    assert!(matches!(refused(&place).await, StoreError::NewerSchema { found: 9999, .. }));

    let mut damaged = good.clone();
    for byte in &mut damaged[4096..8192] {
        *byte ^= 0x5a;
    }
    fs::write(&database, &damaged).unwrap();
    assert!(matches!(refused(&place).await, StoreError::Damaged { .. }));
    fs::write(&database, b"this is no database at all, but long enough to have a header of one hundred bytes or more, which is not SQLite's").unwrap();
    assert!(matches!(refused(&place).await, StoreError::Damaged { .. }));

    fs::write(&database, good).unwrap();
    Store::open(place.options()).await.unwrap();
    assert!(matches!(Store::create(place.options()).await.map(|_| ()), Err(StoreError::Exists { .. })));
}

#[test]
fn paths_in_messages_are_the_callers_own() {
    let place = Place::new();
    let error = tokio::runtime::Runtime::new().unwrap().block_on(Store::open(place.options())).map(|_| ()).unwrap_err();
    assert!(matches!(&error, StoreError::Missing { path } if Path::new(path).starts_with(place.dir.path())));
    assert!(error.refusal().hint.contains("meshkeep init"));
}

/// Promise 8: an audit that takes no rows takes every change with it, the reading of values too.
#[tokio::test]
async fn what_cannot_be_audited_does_not_happen() {
    let place = Place::new();
    let (store, project) = place.create().await;
    place.tamper("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END;").await;
    let entry = AuditEntry { project: Some(project), ..row() };
    let mut tx = store.write("test").await.unwrap();
    let kind = SecretKind::Keys;
    tx.create_secret(project, &"s".parse().unwrap(), kind, &entries(&[("A", "a")]), "test").await.unwrap();
    assert!(matches!(tx.audit(&entry).await, Err(StoreError::Database { .. })));
    drop(tx);
    assert!(store.read("test").await.unwrap().secrets(project).await.unwrap().is_empty());
}

/// The same on a disk that is really full: nothing is saved, nothing is lost, and it goes on when there is room.
#[tokio::test]
async fn a_full_disk_takes_no_change_and_loses_none() {
    let place = Place::new();
    let disk = Disk::mounted(&place.data());
    let (store, project) = place.create().await;
    let kind = SecretKind::Keys;
    let save = async |name: &str| -> Result<(), StoreError> {
        let mut tx = store.write("test").await?;
        tx.create_secret(project, &name.parse().unwrap(), kind, &entries(&[("A", &"a".repeat(100_000))]), "test")
            .await?;
        tx.audit(&AuditEntry { project: Some(project), ..row() }).await?;
        tx.commit().await
    };
    save("before").await.unwrap();
    let filler = disk.0.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    let count = async || {
        let mut tx = store.read("test").await.unwrap();
        (tx.secrets(project).await.unwrap().len(), tx.check_audit().await.unwrap())
    };
    assert!(matches!(save("full").await, Err(StoreError::Database { .. })));
    assert_eq!(count().await, (1, AuditCheck { rows: 1, first_wrong: None }));
    drop(file);
    fs::remove_file(filler).unwrap();
    save("after").await.unwrap();
    assert_eq!(count().await, (2, AuditCheck { rows: 2, first_wrong: None }));
    store.close().await;
}

#[tokio::test]
async fn what_is_long_over_is_forgotten_and_what_runs_is_not() {
    let place = Place::new();
    let (store, project) = place.create().await;
    let mut tx = store.write("test").await.unwrap();
    let other = tx.create_project("other").await.unwrap().id;
    let mut ended = Vec::new();
    for (project, rooms) in [(project, 5), (other, 2)] {
        for number in 0..rooms {
            let name = format!("room-{number}").parse().unwrap();
            let room = tx.create_room(project, &name, serde_json::Map::new(), BTreeMap::new()).await.unwrap();
            let session = tx.create_session(project, &room, true).await.unwrap();
            for event in 0..4 {
                tx.add_event(session.id, "test", &serde_json::json!({"number": event})).await.unwrap();
            }
            if number > 0 {
                tx.end_session(session.id).await.unwrap();
                ended.push(session.id);
            }
        }
    }
    assert_eq!(tx.forget_ended_sessions(2).await.unwrap(), 2);
    let left: Vec<_> = tx.recent_sessions(project, 10).await.unwrap().iter().map(|session| session.id).collect();
    assert_eq!(left[..2], [ended[3], ended[2]], "the newest stay");
    assert_eq!(left.len(), 3, "and the one that runs");
    assert_eq!(tx.recent_sessions(other, 10).await.unwrap().len(), 2, "another project has its own");
    assert!(tx.events(ended[0]).await.unwrap().is_empty(), "its events went with it");
    assert_eq!(tx.forget_old_events(3).await.unwrap(), 5);
    let numbers: Vec<_> = tx.events(left[2]).await.unwrap().into_iter().map(|e| e.data["number"].clone()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    tx.commit().await.unwrap();
}

/// A clock that goes when it is told to.
#[derive(Debug, Default)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Who is signed in to Studio: as long as the clock, the key and the rows say.
#[tokio::test]
async fn studio_sessions_and_links_end() {
    const HOUR: i64 = 3_600_000;
    let place = Place::new();
    let clock = Arc::new(Set(AtomicI64::new(1_000 * HOUR)));
    let store = Store::create(StoreOptions { clock: clock.clone(), ..place.options() }).await.unwrap();
    let mut tx = store.write("test").await.unwrap();
    let project = tx.create_project("acme").await.unwrap().id;
    let grant = Grant { role: Role::Admin, bind: true };
    let new = NewApiKey { name: "k", description: "", grant, service: None, secret: &"s".into(), by: "test" };
    let key = tx.create_api_key(project, new).await.unwrap().id;
    let operator = tx.create_studio_session(None).await.unwrap();
    let holder = tx.create_studio_session(Some(key)).await.unwrap();
    let found = tx.studio_session(holder.expose()).await.unwrap().unwrap();
    assert_eq!((found.key, found.is_unnoted), (Some(key), false));
    assert_eq!(tx.studio_session(operator.expose()).await.unwrap().unwrap().key, None);
    assert!(tx.studio_session("").await.unwrap().is_none());
    // With its key goes the session.
    assert!(tx.delete_api_key(project, key).await.unwrap());
    assert!(tx.studio_session(holder.expose()).await.unwrap().is_none());

    // Used now and then it lasts, but not for ever; unused it ends.
    let unused = tx.create_studio_session(None).await.unwrap();
    for _ in 0..15 {
        clock.0.fetch_add(11 * HOUR, Ordering::SeqCst);
        assert!(tx.studio_session(operator.expose()).await.unwrap().unwrap().is_unnoted);
        tx.note_studio_session(operator.expose()).await.unwrap();
        assert!(!tx.studio_session(operator.expose()).await.unwrap().unwrap().is_unnoted);
    }
    assert!(tx.studio_session(unused.expose()).await.unwrap().is_none());
    clock.0.fetch_add(3 * HOUR, Ordering::SeqCst);
    assert!(tx.studio_session(operator.expose()).await.unwrap().is_none());
    let signed_out = tx.create_studio_session(None).await.unwrap();
    tx.delete_studio_session(signed_out.expose()).await.unwrap();
    assert!(tx.studio_session(signed_out.expose()).await.unwrap().is_none());

    let (once, late) = (tx.create_studio_link().await.unwrap(), tx.create_studio_link().await.unwrap());
    assert!(!tx.take_studio_link("0000").await.unwrap());
    assert!(tx.take_studio_link(once.expose()).await.unwrap());
    assert!(!tx.take_studio_link(once.expose()).await.unwrap(), "it works once");
    clock.0.fetch_add(HOUR / 4, Ordering::SeqCst);
    assert!(!tx.take_studio_link(late.expose()).await.unwrap(), "it is too old");
    tx.commit().await.unwrap();

    // Made beside a store that is open, as the command line does; what is kept is no token.
    let beside = meshkeep_store::studio_link(&place.data(), &*clock).await.unwrap();
    assert_eq!(beside.url, None);
    for (_, bytes) in place.files() {
        assert!(!bytes.windows(64).any(|window| window == beside.token.expose().as_bytes()));
    }
    let mut tx = store.write("test").await.unwrap();
    assert!(tx.note_public_url("http://127.0.0.1:1").await.unwrap(), "the first start");
    assert!(!tx.note_public_url("http://127.0.0.1:2").await.unwrap());
    assert!(tx.take_studio_link(beside.token.expose()).await.unwrap());
    tx.commit().await.unwrap();
    let again = meshkeep_store::studio_link(&place.data(), &*clock).await.unwrap();
    assert_eq!(again.url.as_deref(), Some("http://127.0.0.1:2"));
}
