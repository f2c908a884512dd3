//! Trying a pull secret: what a launch would be told, told before.

use meshkeep_core::{
    access::Role,
    wire::{PullTest, PullTested},
};
use serde_json::{Value, json};

use crate::{
    registry::Mood,
    world::{World, write},
};

fn test(of: Value) -> PullTest {
    serde_json::from_value(of).unwrap()
}

async fn tried(world: &World, of: Value) -> PullTested {
    world.control.test_pull(&world.admin, world.project, test(of)).await.unwrap()
}

#[tokio::test]
async fn the_registrys_answer_is_told_with_its_cause_and_fix() {
    let world = World::new().await;
    let (image, host) = (world.registry.private(), world.registry.host());
    let good = world.pull_secret("correct-horse").await;
    let answer = tried(&world, json!({"secret_id": good, "image": image})).await;
    assert_eq!((answer.ok, answer.code.as_str()), (true, "ok"));
    assert!(answer.message.contains("sha256:") && answer.message.contains(&host), "{}", answer.message);

    let unsaved = |password: &str, server: &str| json!({"server": server, "username": "robot", "password": password, "image": image});
    assert!(tried(&world, unsaved("correct-horse", &host)).await.ok);
    for (of, code) in [
        (unsaved("battery-staple", &host), "wrong_credential"),
        (unsaved("correct-horse", "registry.example.com"), "wrong_registry"),
        (unsaved("correct-horse", "not a server"), "bad_server"),
        (json!({"secret_id": good, "image": image.replace(":1", ":absent")}), "not_found_or_no_permission"),
    ] {
        let answer = tried(&world, of).await;
        assert_eq!((answer.ok, answer.code.as_str()), (false, code), "{answer:?}");
        assert!(!answer.message.is_empty() && !answer.hint.is_empty(), "{answer:?}");
        assert!(!format!("{answer:?}").contains("battery-staple") && !format!("{answer:?}").contains("correct-horse"));
    }
    world.registry.becomes(Mood::Down);
    assert_eq!(tried(&world, json!({"secret_id": good, "image": image})).await.code, "registry_failed");
    assert!(world.registry.requests().iter().all(|line| line.contains("/manifests/")), "nothing else is fetched");
    world.end().await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_by_its_field_and_asks_nobody() {
    let world = World::new().await;
    let image = world.registry.private();
    let keys = world.secret("k", json!({"A": "a"})).await;
    let pull = world.pull_secret("correct-horse").await;
    for (of, words) in [
        (json!({"image": image}), "`secret_id` is missing"),
        (json!({"secret_id": pull, "password": "x", "image": image}), "`secret_id`"),
        (json!({"secret_id": keys, "image": image}), "not a pull secret"),
        (json!({"server": "h", "password": "x", "image": image}), "`username` is missing"),
        (json!({"server": "h", "username": "u", "image": image}), "`password` is missing"),
        (json!({"server": "h", "username": "u", "password": "[redacted]", "image": image}), "`password`"),
        (json!({"secret_id": pull, "image": "Not An Image"}), "`image` has a path"),
        (json!({"secret_id": world.project, "image": image}), "secret"),
    ] {
        let refusal = world.control.test_pull(&world.admin, world.project, test(of)).await.unwrap_err();
        assert!(refusal.message.contains(words), "{refusal}");
    }
    assert_eq!(world.registry.requests(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
async fn it_needs_the_bind_right_and_is_audited_before_it_is_asked() {
    let world = World::new().await;
    let pull = world.pull_secret("correct-horse").await;
    let of = || test(json!({"secret_id": pull, "image": world.registry.private()}));
    for (role, bind, may) in
        [(Role::Developer, true, true), (Role::Developer, false, false), (Role::Member, true, false)]
    {
        let caller = world.caller(role, bind).await;
        assert_eq!(world.control.test_pull(&caller, world.project, of()).await.is_ok(), may, "{role} {bind}");
    }
    let rows = world.control.audit(&world.admin, world.project, None, None).await.unwrap().rows;
    let row = rows.iter().find(|row| row.action == "secret.test").expect("a row");
    let object = format!("{pull} version 1 at {}/acme/private", world.registry.host());
    assert_eq!(row.object, object);

    let other = write("other", "docker", json!({"server": "h", "username": "u", "password": "p"}));
    world.control.create_secret(&world.admin, world.project, other).await.unwrap();
    world.end().await;
}
