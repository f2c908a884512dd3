//! Nonces over restores and crashes: two databases that were one go on apart, under the same keys.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use meshkeep_core::{id::ProjectId, secret::SecretKind};
use meshkeep_store::{Store, StoreOptions};

use crate::place::{Place, entries};

/// The nonce with which each version's data key is wrapped under the project's key, by version and sealed bytes.
fn nonces(database: &Path) -> BTreeMap<String, String> {
    // 4 bytes of length, then an envelope: a byte of format, 16 of the key's id, 24 of the nonce.
    let sql = "SELECT hex(substr(entries, 22, 24)), hex(entries) FROM secret_versions \
               UNION ALL SELECT hex(substr(summary, 22, 24)), hex(summary) FROM secret_versions";
    let output = Command::new("sqlite3").arg(database).arg(sql).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs: Vec<_> = text.lines().map(|line| line.split_once('|').unwrap()).collect();
    let by_nonce: BTreeMap<_, _> =
        pairs.iter().map(|(nonce, sealed)| ((*nonce).to_owned(), (*sealed).to_owned())).collect();
    assert_eq!(by_nonce.len(), pairs.len(), "a nonce was used twice in one database");
    by_nonce
}

/// Saves, and is gone in the middle of the next save, as a crash would have it.
async fn save_and_crash(options: StoreOptions, project: ProjectId, branch: &str, saves: u32) {
    let store = Store::open(options).await.unwrap();
    for number in 0..saves {
        let mut tx = store.write("test").await.unwrap();
        let name = format!("{branch}-{number}").parse().unwrap();
        tx.create_secret(project, &name, SecretKind::Keys, &entries(&[("A", "same value")]), "test").await.unwrap();
        if number % 3 != 2 {
            tx.commit().await.unwrap();
        }
    }
    store.close_without_anchor().await;
}

#[tokio::test]
async fn no_nonce_is_used_twice_over_crashes_and_restores() {
    let place = Place::new();
    let (store, project) = place.create().await;
    store.close().await;
    let database = place.data().join("meshkeep.db");
    save_and_crash(place.options(), project, "before", 30).await;
    let before = nonces(&database);
    let backup = place.dir.path().join("backup.db");
    Store::snapshot(&place.data(), &backup).await.unwrap();

    save_and_crash(place.options(), project, "first", 90).await;
    let first = nonces(&database);
    for file in fs::read_dir(place.data()).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    fs::copy(&backup, &database).unwrap();
    let restored = || StoreOptions { anchor: None, ..place.options() };
    save_and_crash(restored(), project, "second", 90).await;
    let second = nonces(&database);
    assert!(before.len() >= 40 && first.len() >= 160 && second.len() >= 160);
    for (nonce, sealed) in &second {
        let same = first.get(nonce);
        assert!(same.is_none() || same == Some(sealed), "a nonce seals two things under one key");
        assert_eq!(same.is_some(), before.contains_key(nonce));
    }
}
