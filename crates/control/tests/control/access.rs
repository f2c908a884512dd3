//! Who may do what, on the operations themselves.

use meshkeep_control::Scope;
use meshkeep_core::{access::Role, wire};
use serde_json::json;

use crate::world::{World, make_key, write};

#[tokio::test]
async fn binding_and_changing_what_is_bound_need_the_bind_right() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "a"})).await;
    let bound = world.service("bound", json!({"secrets": [secret]})).await;
    let (with, without) = (world.caller(Role::Developer, true).await, world.caller(Role::Developer, false).await);
    let spec = |name: &str, container| world.spec(name, container);
    let create = async |caller, spec| world.control.create_service(caller, world.project, Scope::Project, spec).await;
    let update =
        async |caller, id, spec| world.control.update_service(caller, world.project, Scope::Project, id, spec).await;
    assert_eq!(create(&without, spec("x", json!({"secrets": [secret]}))).await.unwrap_err().code, "not_allowed");
    create(&with, spec("x", json!({"secrets": [secret]}))).await.unwrap();
    let free = create(&without, spec("free", json!({}))).await.unwrap().id.unwrap().parse().unwrap();
    for (id, container) in [
        (bound, json!({"secrets": [secret], "image": world.registry.private()})),
        (bound, json!({})),
        (free, json!({"secrets": [secret]})),
    ] {
        let name = if id == bound { "bound" } else { "free" };
        let refusal = update(&without, id, spec(name, container.clone())).await.unwrap_err();
        assert!(refusal.code == "not_allowed" && refusal.message.contains("without bind"), "{refusal}");
        update(&with, id, spec(name, container)).await.unwrap();
    }
    world.end().await;
}

/// A sealed value that is kept could be printed by another command, so keeping it is binding it.
#[tokio::test]
async fn keeping_a_value_that_is_not_shown_needs_the_bind_right() {
    let world = World::new().await;
    let environment = |value: &str| json!({"environment": [{"name": "API_TOKEN", "value": value}]});
    let id = world.service("s", environment("hunter2")).await;
    let without = world.caller(Role::Developer, false).await;
    let update = async |spec| world.control.update_service(&without, world.project, Scope::Project, id, spec).await;
    assert_eq!(update(world.spec("s", environment("[redacted]"))).await.unwrap_err().code, "not_allowed");
    let own = update(world.spec("s", environment("my own"))).await.unwrap();
    assert!(!format!("{own:?}").contains("my own"));
    world.end().await;
}

#[tokio::test]
async fn roles_end_where_the_table_says() {
    let world = World::new().await;
    let (developer, member) = (world.caller(Role::Developer, true).await, world.caller(Role::Member, true).await);
    let secret = world.secret("s", json!({"A": "a"})).await;
    let session = world.launch().await.id;
    let (control, project) = (&world.control, world.project);
    let refused =
        |outcome: Result<String, meshkeep_core::Refusal>| assert_eq!(outcome.unwrap_err().code, "not_allowed");
    let done = |what: &dyn std::fmt::Debug| format!("{what:?}");
    refused(control.reveal_secret(&developer, project, secret).await.map(|it| done(&it)));
    refused(control.create_secret(&developer, project, write("x", "keys", json!({}))).await.map(|it| done(&it)));
    refused(control.delete_secret(&developer, project, secret, true).await.map(|it| done(&it)));
    refused(control.list_api_keys(&developer, project).await.map(|it| done(&it)));
    control.list_secrets(&developer, project, true).await.unwrap();
    refused(control.list_secrets(&member, project, false).await.map(|it| done(&it)));
    refused(control.list_services(&member, project, Scope::Project).await.map(|it| done(&it)));
    refused(control.terminate_session(&member, project, session).await.map(|it| done(&it)));
    refused(control.connect_room(&member, project, "lobby".parse().unwrap()).await.map(|it| done(&it)));
    control.session(&member, project, session).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn another_project_is_refused_whether_it_exists_or_not() {
    let world = World::new().await;
    let mut tx = world.store.write("test").await.unwrap();
    let other = tx.create_project("other").await.unwrap().id;
    tx.commit().await.unwrap();
    let mut refusals = Vec::new();
    for project in [other, "01a20e68-a737-748a-ac4b-cb802a61537e".parse().unwrap()] {
        refusals.push(world.control.list_secrets(&world.admin, project, false).await.unwrap_err());
    }
    assert_eq!(refusals[0], refusals[1]);
    assert_eq!(refusals[0].code, "other_project");

    // A stranger finds nothing of ours under an id that it knows.
    let secret = world.secret("s", json!({"A": "a"})).await;
    let key = make_key(&world.store, other, Role::Admin, true).await;
    let stranger = world.control.authenticate(Some(key.format().expose()), Default::default()).await.unwrap();
    assert_eq!(world.control.reveal_secret(&stranger, other, secret).await.unwrap_err().code, "not_found");
    world.end().await;
}

#[tokio::test]
async fn a_key_makes_none_above_itself_and_the_last_admin_stays() {
    let world = World::new().await;
    let create = |role, bind| wire::ApiKeyCreate { name: "k".to_owned(), description: None, role, bind };
    let (control, project) = (&world.control, world.project);
    let made = control.create_api_key(&world.admin, project, create(None, None)).await.unwrap();
    assert_eq!((made.role, made.bind), (Role::Admin, true));
    let keys = control.list_api_keys(&world.admin, project).await.unwrap().keys;
    assert_eq!(keys.len(), 2);
    let own = keys.iter().find(|key| key.id != made.id).unwrap().id;
    control.delete_api_key(&world.admin, project, made.id).await.unwrap();
    let refusal = control.delete_api_key(&world.admin, project, own).await.unwrap_err();
    assert_eq!(refusal.code, "last_admin_key");
    world.end().await;
}
