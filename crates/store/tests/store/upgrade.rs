//! A database that an older version wrote.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use meshkeep_core::clock::SystemClock;
use meshkeep_seal::{Keyring, RootKey};
use meshkeep_store::{AuditCheck, Store, StoreError, StoreOptions};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// What `.dump` printed of a database of schema 5, sealed under the golden root key.
const SCHEMA_5: &str = include_str!("../../testdata/schema5.sql");

async fn written(sql: &str) -> (TempDir, StoreOptions) {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    fs::write(&key, include_str!("../../../seal/testdata/open.root-key")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let file = data.join("meshkeep.db");
    let mut db = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .foreign_keys(false)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let keyring = Keyring::new(RootKey::load(&key).unwrap());
    let anchor = Some(dir.path().join("anchor"));
    let options = StoreOptions { dir: data, keyring, anchor, clock: Arc::new(SystemClock) };
    (dir, options)
}

#[tokio::test]
async fn an_older_database_opens_with_all_that_it_holds() {
    let (dir, options) = written(SCHEMA_5).await;
    let store = Store::open(options).await.unwrap();
    let mut tx = store.read("test").await.unwrap();
    let project = tx.projects().await.unwrap()[0].id;
    let secrets = tx.secrets(project).await.unwrap();
    let names: Vec<_> = secrets.iter().map(|secret| (secret.name.as_str(), secret.version)).collect();
    assert_eq!(names, [("registry", 1), ("weather", 2)]);
    for (version, value) in [(1, "first"), (2, "second")] {
        let opened = tx.open_secret(project, secrets[1].id, version).await.unwrap().unwrap();
        assert_eq!(opened["API_KEY"].expose(), value);
    }
    let key = tx.api_keys(project).await.unwrap()[0].id;
    assert_eq!(tx.api_key(key).await.unwrap().unwrap().1.expose(), "hmac-secret");
    assert_eq!(tx.check_audit().await.unwrap(), AuditCheck { rows: 5, first_wrong: None });
    drop(tx);
    let anchor = dir.path().join("anchor");
    assert_eq!(store.examine(Some(&anchor)).await.unwrap().damages, []);
    store.close().await;
    assert!(anchor.exists());
}

#[tokio::test]
async fn the_pull_secret_of_a_recorded_workload_becomes_a_list() {
    let rows = "PRAGMA foreign_keys = OFF;
        INSERT INTO workloads (id, session_id, service_id, service_name, place, manifest, secrets, pull_secret, state, attempt, restarts)
        VALUES ('one', 's', 'a', 'a', 0, x'', '[]', '{\"id\":1}', '\"pending\"', 0, 0),
               ('two', 's', 'b', 'b', 1, x'', '[]', NULL, '\"pending\"', 0, 0);";
    let (_dir, options) = written(&format!("{SCHEMA_5}\n{rows}")).await;
    let file = options.dir.join("meshkeep.db");
    Store::open(options).await.unwrap().close().await;
    let mut db = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    let lists: Vec<String> =
        sqlx::query_scalar("SELECT pull_secrets FROM workloads ORDER BY id").fetch_all(&mut db).await.unwrap();
    assert_eq!(lists, [r#"[{"id":1}]"#, "[]"]);
}

/// What was damaged before the lists were made anew is not signed by making them.
#[tokio::test]
async fn an_older_database_that_is_damaged_is_refused() {
    let (_dir, options) = written(&format!("{SCHEMA_5}\nDELETE FROM secrets WHERE name = 'registry';")).await;
    let error = Store::open(options).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }) && error.to_string().contains("keyed list"), "{error}");
}
