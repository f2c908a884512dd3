//! Changing the root key: everything opens before, meanwhile and after.

use std::sync::Arc;

use meshkeep_core::clock::SystemClock;
use meshkeep_seal::{Keyring, RootKey};
use meshkeep_store::{Store, StoreError, StoreOptions};

use crate::place::{Place, entries, save};

fn options(place: &Place, keys: &[&str]) -> StoreOptions {
    let mut keys = keys.iter().map(|name| RootKey::load(&place.dir.path().join(name)).unwrap());
    let mut keyring = Keyring::new(keys.next().unwrap());
    keys.for_each(|key| keyring.add(key));
    StoreOptions { dir: place.data(), keyring, anchor: Some(place.anchor()), clock: Arc::new(SystemClock) }
}

#[tokio::test]
async fn everything_is_under_the_new_key_and_nothing_under_the_old_one() {
    let place = Place::new();
    let (store, project) = place.create().await;
    let secret = save(&store, project, "weather", &[("A", "value")]).await;
    store.close().await;
    let new = RootKey::generate();
    new.save_new(&place.dir.path().join("new"), None).unwrap();

    // Both keys are readable, and the database says which seals.
    let store = Store::open(options(&place, &["new", "key"])).await.unwrap();
    assert_ne!(store.root_key_id(), new.id());
    let (store, rewrapped) = store.put_under(new.id()).await.unwrap();
    assert_eq!((rewrapped, store.root_key_id()), (1, new.id()));
    let mut tx = store.write("test").await.unwrap();
    tx.create_project("made after").await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;

    assert!(matches!(Store::open(options(&place, &["key"])).await.map(drop), Err(StoreError::WrongKey { .. })));
    for keys in [&["new"][..], &["key", "new"]] {
        let store = Store::open(options(&place, keys)).await.unwrap();
        let mut tx = store.read("test").await.unwrap();
        assert_eq!(tx.open_secret(project, secret.id, 1).await.unwrap().unwrap()["A"].expose(), "value");
        assert!(tx.root_key_rotated_at().await.unwrap().is_some());
        drop(tx);
        let examined = store.examine(Some(&place.anchor())).await.unwrap();
        assert_eq!(examined.damages, [], "the audit's chain goes on through the change");
        store.close().await;
    }

    // Again, and once more to the same key, which is nothing to do.
    RootKey::generate().save_new(&place.dir.path().join("third"), None).unwrap();
    let third = RootKey::load(&place.dir.path().join("third")).unwrap().id();
    let store = Store::open(options(&place, &["new", "third"])).await.unwrap();
    let (store, rewrapped) = store.put_under(third).await.unwrap();
    assert_eq!(rewrapped, 2);
    let (store, rewrapped) = store.put_under(third).await.unwrap();
    assert_eq!(rewrapped, 0);
    let mut tx = store.write("test").await.unwrap();
    let found = tx.secret(project, secret.id).await.unwrap().unwrap();
    tx.save_secret(&found, &found.name, &entries(&[("A", "later")]), "test").await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
}
