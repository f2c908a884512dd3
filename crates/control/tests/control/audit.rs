//! Every change writes its row in the same transaction; reading writes none, revealing does.

use meshkeep_control::{Origin, Scope};
use meshkeep_core::{access::Role, wire};
use serde_json::json;

use crate::world::{World, make_key, write};

async fn rows(world: &World) -> u64 {
    world.store.read("test").await.unwrap().check_audit().await.unwrap().rows
}

macro_rules! adds {
    ($world:expr, $count:expr, $act:expr) => {{
        let before = rows(&$world).await;
        let done = $act.await.unwrap();
        assert_eq!(rows(&$world).await - before, $count, "{}", stringify!($act));
        done
    }};
}

#[tokio::test]
async fn every_change_is_in_the_audit() {
    let world = World::new().await;
    let (control, admin, project) = (world.control.clone(), world.admin.clone(), world.project);
    let key = make_key(&world.store, project, Role::Member, false).await.id;
    let secret = adds!(world, 1, control.create_secret(&admin, project, write("s", "keys", json!({"A": "a"})))).id;
    adds!(world, 1, control.save_secret(&admin, project, secret, write("s", "keys", json!({"A": "b"})), None));
    let patch = serde_json::from_value(json!({"set": {"B": "b"}})).unwrap();
    adds!(world, 1, control.patch_secret(&admin, project, secret, patch, None));
    adds!(world, 1, control.rollback_secret(&admin, project, secret, 1));
    adds!(world, 1, control.reveal_secret(&admin, project, secret));
    let pull = world.pull_secret("correct-horse").await;
    let test = || wire::PullTest {
        secret_id: Some(pull),
        server: None,
        username: None,
        password: None,
        image: world.registry.private(),
    };
    adds!(world, 1, control.test_pull(&admin, project, test()));
    adds!(world, 0, control.secret(&admin, project, secret));
    adds!(world, 0, control.list_secrets(&admin, project, true));
    let spec = || world.spec("weather", json!({"secrets": [secret]}));
    let made = adds!(world, 1, control.create_service(&admin, project, Scope::Project, spec()));
    let service = made.id.unwrap().parse().unwrap();
    adds!(world, 1, control.update_service(&admin, project, Scope::Project, service, spec()));
    let lobby = wire::RoomCreate { name: "lobby".to_owned(), ..Default::default() };
    let (room, _) = adds!(world, 1, control.create_room(&admin, project, lobby));
    adds!(world, 1, control.update_room(&admin, project, room.id, wire::RoomUpdate::default()));
    adds!(world, 1, control.connect_room(&admin, project, "lobby".parse().unwrap()));
    adds!(world, 2, control.connect_room(&admin, project, "new".parse().unwrap()));
    let (session, _) = adds!(world, 1, control.launch_session(&admin, project, "lobby".parse().unwrap()));
    adds!(world, 0, control.launch_session(&admin, project, "lobby".parse().unwrap()));
    world.until_state(session.id, "weather", "ready").await;
    adds!(world, 1, control.restart_service(&admin, project, session.id, service));
    adds!(world, 1, control.terminate_session(&admin, project, session.id));
    adds!(world, 0, control.terminate_session(&admin, project, session.id));
    adds!(world, 1, control.launch_session(&admin, project, "lobby".parse().unwrap()));
    adds!(world, 1, control.terminate_all(&admin, project));
    adds!(world, 1, control.delete_service(&admin, project, Scope::Project, service));
    adds!(world, 1, control.delete_secret(&admin, project, secret, false));
    adds!(world, 1, control.delete_room(&admin, project, room.id));
    let wanted = wire::ApiKeyCreate { name: "k".to_owned(), ..Default::default() };
    adds!(world, 1, control.create_api_key(&admin, project, wanted));
    adds!(world, 1, control.delete_api_key(&admin, project, key));
    world.end().await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_is_not_in_it() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "a"})).await;
    world.service("weather", json!({"secrets": [secret]})).await;
    let session = world.launch().await;
    let before = rows(&world).await;
    let (control, admin, project) = (&world.control, &world.admin, world.project);
    control.delete_secret(admin, project, secret, false).await.unwrap_err();
    control.create_secret(admin, project, write("s", "keys", json!({}))).await.unwrap_err();
    let room = session.room_id.unwrap();
    assert_eq!(control.delete_room(admin, project, room).await.unwrap_err().code, "in_use");
    let spec = world.spec("weather", json!({}));
    control.create_service(admin, project, Scope::Project, spec).await.unwrap_err();
    assert_eq!(rows(&world).await, before);
    world.end().await;
}

#[tokio::test]
async fn refused_attempts_that_matter_are_in_it_with_their_outcome() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "value-of-a"})).await;
    let spec = || world.spec("weather", json!({"secrets": [secret]}));
    let service = world.service_of(spec()).await;
    let key = make_key(&world.store, world.project, Role::Developer, false).await;
    let weak = world.control.authenticate(Some(key.format().expose()), Origin::default()).await.unwrap();
    let (control, project) = (&world.control, world.project);
    let last = control.audit(&world.admin, project, None, Some(1)).await.unwrap().rows[0].seq;
    assert_eq!(control.audit(&weak, project, None, None).await.unwrap_err().code, "not_allowed");
    control.reveal_secret(&weak, project, secret).await.unwrap_err();
    control.create_service(&weak, project, Scope::Project, spec()).await.unwrap_err();
    let other = world.spec("other", json!({"secrets": [secret]}));
    assert_eq!(control.create_service(&weak, project, Scope::Project, other).await.unwrap_err().code, "not_allowed");
    control.update_service(&weak, project, Scope::Project, service, spec()).await.unwrap_err();
    control.reveal_secret(&world.admin, project, secret).await.unwrap();
    let rows = control.audit(&world.admin, project, Some(last), None).await.unwrap().rows;
    let said: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.outcome.as_str())).collect();
    let refused = "refused: not_allowed";
    let expected = [
        ("secret.reveal", refused),
        ("service.create", refused),
        ("service.create", refused),
        ("service.update", refused),
        ("secret.reveal", "done"),
    ];
    assert_eq!(said, expected);
    assert!(rows[0].actor.contains(&key.id.to_string()) && rows[0].object.contains(&secret.to_string()));
    assert!(!format!("{rows:?}").contains("value-of-a"));
    assert!(control.verify_audit(&world.admin, project).await.unwrap().fits);
    world.end().await;
}
