//! Several pull secrets of one service: which one an image is fetched with, and that this is shown.

use meshkeep_control::Scope;
use meshkeep_core::{id::SecretId, manifest::PULL_SECRETS, service::ServiceSpec, wire};
use serde_json::{Value, json};

use crate::world::{World, of};

/// A service with further pull secrets.
fn spec(world: &World, name: &str, container: Value, further: &[SecretId]) -> ServiceSpec {
    let mut spec = world.spec(name, container);
    let further: Vec<_> = further.iter().map(SecretId::to_string).collect();
    spec.metadata.annotations.insert(PULL_SECRETS.to_owned(), further.join(", "));
    spec
}

#[tokio::test]
async fn each_image_is_fetched_with_the_longest_path_that_fits() {
    let world = World::new().await;
    let (all, others) = (world.pull_secret("correct-horse").await, world.pull_secret_of_others().await);
    let mounts = json!({"images": [{"image": world.registry.private(), "path": "/mounted"}]});
    let container = json!({"image": world.registry.of_others(), "pull_secret": all, "storage": mounts});
    world.service_of(spec(&world, "longest", container, &[others])).await;
    // The other way round it is the same.
    let container = json!({"image": world.registry.private(), "pull_secret": others});
    world.service_of(spec(&world, "whole", container, &[all])).await;
    let session = world.launch().await.id;
    let (of_all, of_others) = (world.registry.host(), format!("{}/others", world.registry.host()));
    let used = |used: &wire::SecretUse| (used.id, used.opens.clone());
    let longest = world.until_state(session, "longest", "ready").await;
    assert_eq!(used(longest.pull_secret.as_ref().unwrap()), (others, Some(of_others)));
    let further: Vec<_> = longest.further_pull_secrets.iter().map(used).collect();
    assert_eq!(further, [(all, Some(of_all.clone()))], "it fetched what is mounted");
    let whole = world.until_state(session, "whole", "ready").await;
    assert_eq!(used(whole.pull_secret.as_ref().unwrap()), (all, Some(of_all)));
    let further: Vec<_> = whole.further_pull_secrets.iter().map(used).collect();
    assert_eq!(further, [(others, None)], "it fetched nothing");
    // Each password went to its own path only.
    let proofs = world.registry.proofs();
    assert!(proofs.iter().any(|(path, _)| path.contains("/others/")), "{proofs:?}");
    for (path, proof) in proofs {
        let wanted = if path.contains("/others/") { "other" } else { "robot" };
        assert_eq!(proof, wanted, "{path}");
    }
    world.end().await;
}

#[tokio::test]
async fn one_that_is_for_another_path_is_sent_nowhere() {
    let world = World::new().await;
    let others = world.pull_secret_of_others().await;
    let service = world.service("beside", json!({"image": world.registry.private(), "pull_secret": others})).await;
    let pinned = world.control.pin_service(&world.admin, world.project, Scope::Project, service).await;
    assert_eq!(pinned.unwrap_err().code, "wrong_registry");
    let session = world.launch().await;
    let failed = world.until_state(session.id, "beside", "failed").await;
    let reason = failed.reason.unwrap();
    assert_eq!(reason.code, "wrong_registry");
    let words = [format!("{}/others", world.registry.host()), format!("{}/acme/private", world.registry.host())];
    assert!(words.iter().all(|word| reason.message.contains(word)), "{reason:?}");
    assert_eq!(world.registry.requests(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn a_refusal_says_which_of_several_was_refused() {
    let world = World::new().await;
    let (all, others) = (world.pull_secret("correct-horse").await, world.pull_secret_of_others().await);
    let set = serde_json::from_value(json!({"set": {"password": "wrong"}})).unwrap();
    world.control.patch_secret(&world.admin, world.project, others, set, None).await.unwrap();
    let container = json!({"image": world.registry.of_others(), "pull_secret": all});
    world.service_of(spec(&world, "weather", container, &[others])).await;
    let session = world.launch().await;
    let failed = world.until_state(session.id, "weather", "failed").await;
    let reason = failed.reason.unwrap();
    assert_eq!(reason.code, "wrong_credential");
    assert!(reason.message.starts_with("with the pull secret others: "), "{reason:?}");
    // None of the two is shown as the one that fetched it.
    assert_eq!((failed.pull_secret, failed.further_pull_secrets.len()), (None, 2));
    world.end().await;
}

#[tokio::test]
async fn a_public_image_may_mount_a_private_one() {
    let world = World::new().await;
    let others = world.pull_secret_of_others().await;
    let mounts = json!({"images": [{"image": world.registry.of_others(), "path": "/mounted"}]});
    world.service("weather", json!({"pull_secret": others, "storage": mounts})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    assert!(world.registry.proofs().iter().all(|(path, _)| path.contains("/others/")), "{:?}", world.registry.proofs());
    world.end().await;
}

#[tokio::test]
async fn a_further_one_is_bound_like_the_first() {
    let world = World::new().await;
    let (all, others) = (world.pull_secret("correct-horse").await, world.pull_secret_of_others().await);
    let keys = world.secret("keys", json!({"A": "a"})).await;
    let container = json!({"image": world.registry.of_others(), "pull_secret": all});
    let unknown = "0198c2f4-8d02-7000-8c2b-4a1d6f0b7e11".parse().unwrap();
    for wrong in [keys, unknown] {
        let made = spec(&world, "weather", container.clone(), &[wrong]);
        let refusal =
            world.control.create_service(&world.admin, world.project, Scope::Project, made).await.unwrap_err();
        assert!(refusal.field.ends_with(PULL_SECRETS), "{refusal:?}");
    }
    world.service_of(spec(&world, "weather", container, &[others])).await;
    let refusal = world.control.delete_secret(&world.admin, world.project, others, false).await.unwrap_err();
    assert_eq!(refusal.code, "in_use");
    let uses = world.control.secret_usage(&world.admin, world.project, others).await.unwrap();
    assert!(format!("{uses:?}").contains("weather"), "{uses:?}");
    world.control.delete_secret(&world.admin, world.project, others, true).await.unwrap();
    let session = world.launch().await;
    let failed = of(&session, "weather");
    assert_eq!(failed.reason.as_ref().unwrap().code, "secret_deleted");
    assert!(failed.reason.as_ref().unwrap().message.contains(PULL_SECRETS), "{failed:?}");
    world.end().await;
}
