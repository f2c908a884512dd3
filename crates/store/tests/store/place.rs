//! A place for a store: a directory, its root key, and hands that reach behind it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use meshkeep_core::{
    SecretText,
    clock::SystemClock,
    id::ProjectId,
    secret::{Entries, SecretKind},
};
use meshkeep_seal::{Keyring, RootKey};
use meshkeep_store::{AuditEntry, Store, StoreOptions};
use tempfile::TempDir;

pub struct Place {
    pub dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        RootKey::generate().save_new(&dir.path().join("key"), None).unwrap();
        Self { dir }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn anchor(&self) -> PathBuf {
        self.dir.path().join("anchor")
    }

    pub fn options(&self) -> StoreOptions {
        let keyring = Keyring::new(RootKey::load(&self.dir.path().join("key")).unwrap());
        StoreOptions { dir: self.data(), keyring, anchor: Some(self.anchor()), clock: Arc::new(SystemClock) }
    }

    pub async fn create(&self) -> (Store, ProjectId) {
        let store = Store::create(self.options()).await.unwrap();
        let mut tx = store.write("test").await.unwrap();
        let project = tx.create_project("acme").await.unwrap().id;
        tx.commit().await.unwrap();
        (store, project)
    }

    /// Every file with its bytes, to show that nothing was changed.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.data())
            .unwrap()
            .map(|f| f.unwrap().path())
            .map(|p| (p.clone(), fs::read(p).unwrap()))
            .collect();
        files.sort();
        files
    }

    /// Runs SQL behind the store's back, as damage or an attacker would.
    pub async fn tamper(&self, sql: &str) {
        use sqlx::ConnectOptions as _;
        let mut db = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.data().join("meshkeep.db"))
            .foreign_keys(false)
            .connect()
            .await
            .unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut db).await.unwrap();
        use sqlx::Connection as _;
        db.close().await.unwrap();
    }
}

pub fn entries(pairs: &[(&str, &str)]) -> Entries {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), SecretText::from(*value))).collect()
}

pub fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

pub async fn save(store: &Store, project: ProjectId, name: &str, pairs: &[(&str, &str)]) -> meshkeep_store::Secret {
    let mut tx = store.write("test").await.unwrap();
    let secret =
        tx.create_secret(project, &name.parse().unwrap(), SecretKind::Keys, &entries(pairs), "test").await.unwrap();
    tx.commit().await.unwrap();
    secret
}

pub fn row() -> AuditEntry {
    AuditEntry {
        project: None,
        actor: "test".to_owned(),
        action: "secret.create".to_owned(),
        object: "x".to_owned(),
        origin: "local".to_owned(),
        outcome: AuditEntry::DONE.to_owned(),
    }
}

/// A small disk of its own.
pub struct Disk(pub PathBuf);

impl Disk {
    pub fn mounted(at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"])
            .arg(at)
            .status();
        assert!(mount.unwrap().success(), "this test needs root");
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a database may still be open when the test fails.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
