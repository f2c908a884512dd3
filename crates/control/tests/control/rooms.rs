//! Participants: when sessions begin and end for them, what each may do, what they get to see.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use jsonwebtoken::Algorithm;
use meshkeep_control::{
    ExecOutput, ImageCredential, Inbox, Member, Origin, RoomSecretAsked, RunContainer, Scope, Stage,
};
use meshkeep_core::{
    Refusal, RefusalKind, SecretText, access::Role, api_key::ApiKeyText, id::SessionId, wire, wire::payload::Payload,
};
use meshkeep_engine::testing::Start;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    tokens::signed,
    world::{PATIENCE, World, make_key, of},
};

/// Everything that a token can ask for.
pub fn all() -> Value {
    json!({"messaging": {}, "containers": {}, "developer": {}, "services": {}, "secrets": {}, "admin": {}})
}

/// What agents commonly get.
pub fn agent() -> Value {
    json!({"messaging": {}, "containers": {}, "developer": {}, "services": {}})
}

pub fn token(key: &ApiKeyText, name: &str, scope: Value) -> String {
    signed(key, Algorithm::HS256, |claims| {
        claims["name"] = json!(name);
        claims["grants"] = json!([{"name": "room", "scope": "lobby"}, {"name": "api", "scope": scope}]);
    })
}

pub async fn join(world: &World, token: &str) -> Result<(Arc<Member>, Inbox), Refusal> {
    let participant = world.control.participant(token, &"lobby".parse().unwrap(), Origin::default()).await?;
    world.control.join_room(participant).await
}

/// Joins with a key of this worth and this scope.
async fn joined(world: &World, name: &str, role: Role, bind: bool, scope: Value) -> (Arc<Member>, Inbox) {
    let key = make_key(&world.store, world.project, role, bind).await;
    join(world, &token(&key, name, scope)).await.unwrap()
}

async fn admin(world: &World) -> (Arc<Member>, Inbox) {
    joined(world, "ann", Role::Admin, true, all()).await
}

fn code<T>(result: Result<T, Refusal>) -> String {
    result.map(drop).expect_err("it is refused").code
}

async fn over(world: &World, session: SessionId) -> wire::Session {
    world.until(session, |session| !session.is_active).await
}

async fn events(world: &World, session: SessionId) -> Vec<(String, Value)> {
    let listed = world.control.session_events(&world.admin, world.project, session).await.unwrap().events;
    listed.into_iter().map(|event| (event.kind, event.data)).collect()
}

async fn grace() {
    tokio::time::sleep(Duration::from_millis(600)).await;
}

#[tokio::test]
async fn a_session_begins_with_the_first_and_ends_after_the_last() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    let (ann, ann_in) = admin(&world).await;
    world.engine.started("weather", 1).await;
    let (bob, bob_in) = joined(&world, "bob", Role::Developer, false, agent()).await;
    assert_eq!(ann.session(), bob.session());
    let shown = world.session(ann.session()).await;
    assert_eq!(shown.participants.unwrap(), [("user".to_owned(), 2)].into());
    drop(ann_in.seat);
    grace().await;
    assert!(world.session(bob.session()).await.is_active, "somebody is there");
    // Who comes back in time finds the same one.
    drop(bob_in.seat);
    let (again, again_in) = admin(&world).await;
    assert_eq!(again.session(), bob.session());
    grace().await;
    assert!(world.session(bob.session()).await.is_active);
    drop(again_in.seat);
    over(&world, bob.session()).await;
    let events = events(&world, bob.session()).await;
    let (_, end) = events.iter().find(|(kind, _)| kind == "session.terminated").unwrap();
    assert_eq!((end["by"].as_str(), end["reason"].as_str()), (Some("meshkeep"), Some("the last participant has left")));
    assert!(world.engine.services().is_empty());
    let (next, _in) = admin(&world).await;
    assert_ne!(next.session(), bob.session());
    world.end().await;
}

#[tokio::test]
async fn a_session_that_was_launched_stays_until_it_is_terminated() {
    let world = World::new().await;
    let (ann, ann_in) = admin(&world).await;
    let launched = world.launch().await;
    assert_eq!(launched.id, ann.session(), "the one that runs");
    drop(ann_in.seat);
    grace().await;
    assert!(world.session(launched.id).await.is_active);
    let (ann, mut ann_in) = admin(&world).await;
    world.terminate(ann.session()).await;
    tokio::time::timeout(PATIENCE, ann_in.closed.cancelled()).await.expect("its participants are told");
    assert!(ann_in.events.recv().await.is_none());
    world.end().await;
}

#[tokio::test]
async fn those_that_the_platform_started_keep_no_session_open() {
    let world = World::new().await;
    let environment = json!([{"name": "MY_TOKEN", "token": {"identity": "helper"}}]);
    world.service("weather", json!({"environment": environment})).await;
    let (ann, ann_in) = admin(&world).await;
    let start = world.engine.started("weather", 1).await;
    let given = start.variable("MY_TOKEN").unwrap().to_owned();
    let (helper, helper_in) = join(&world, &given).await.unwrap();
    assert_eq!((helper.session(), helper.attributes()["name"].as_str()), (ann.session(), Some("helper")));
    assert!(
        helper.room_url().starts_with("ws://meshkeep:4680/rooms/"),
        "services reach the server at their own address"
    );
    drop(ann_in.seat);
    over(&world, ann.session()).await;
    assert!(helper_in.closed.is_cancelled());
    // The token ended with its session, also in the next one of the same room.
    let (_ann, _in) = admin(&world).await;
    assert_eq!(code(join(&world, &given).await), "unauthenticated");
    assert_eq!(code(world.control.authenticate(Some(&given), Origin::default()).await), "unauthenticated");
    world.end().await;
}

#[tokio::test]
async fn a_services_token_is_worth_no_more_than_a_developers_without_bind() {
    let world = World::new().await;
    let secret = world.secret("weather-api", json!({"KEY": "value-of-weather"})).await;
    let token = json!([{"name": "MY_TOKEN", "token": {"identity": "helper", "api": all()}}]);
    world.service("plain", json!({"environment": token})).await;
    world.service("bound", json!({"secrets": [secret], "private": false})).await;
    let (_ann, _in) = admin(&world).await;
    let given = world.engine.started("plain", 1).await.variable("MY_TOKEN").unwrap().to_owned();
    let caller = world.control.authenticate(Some(&given), Origin::default()).await.unwrap();
    assert_eq!((caller.grant().role, caller.grant().bind), (Role::Developer, false));
    assert_eq!(code(world.control.list_secrets(&caller, world.project, false).await), "not_allowed");
    let (helper, _in) = join(&world, &given).await.unwrap();
    let bound = id_of(&helper, "bound").await;
    assert_eq!(code(helper.exec(&bound, vec!["env".into()], false).await), "not_allowed");
    // What stands in a token is believed only from who may say it.
    let key = make_key(&world.store, world.project, Role::Developer, false).await;
    for forged in ["session_id", "service_id"] {
        let text = signed(&key, Algorithm::HS256, |claims| {
            claims["kid"] = Value::Null;
            claims[forged] = json!(world.project);
        });
        assert_eq!(code(join(&world, &text).await), "unauthenticated", "{forged}");
    }
    world.end().await;
}

#[tokio::test]
async fn sessions_that_nobody_is_in_end_after_a_restart_of_the_server() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    let (ann, _in) = admin(&world).await;
    world.engine.started("weather", 1).await;
    let session = ann.session();
    let world = world.restarted().await;
    assert!(world.session(session).await.is_active, "its participants have time to come back");
    over(&world, session).await;
    let (back, _in) = admin(&world).await;
    let world = world.restarted().await;
    let (again, _in2) = admin(&world).await;
    assert_eq!(again.session(), back.session());
    grace().await;
    assert!(world.session(again.session()).await.is_active);
    world.end().await;
}

async fn id_of(member: &Member, name: &str) -> String {
    let all = member.containers(true).await.unwrap();
    all.iter().find(|container| container.name == name).unwrap_or_else(|| panic!("no {name}")).id.to_string()
}

/// Every operation with what it takes; refused ones by their code.
async fn tried(member: &Member, container: &str, service: &str, image: &str) -> Vec<(&'static str, String)> {
    let code = |result: Result<(), Refusal>| result.err().map_or_else(|| "ok".to_owned(), |refusal| refusal.code);
    let run = RunContainer { image: image.to_owned(), ..RunContainer::default() };
    let asked = RoomSecretAsked { secret_id: Some("x".into()), ..RoomSecretAsked::default() };
    vec![
        ("services", code(member.services().await.map(drop))),
        ("restart", code(member.restart_service(service).await)),
        ("containers", code(member.containers(true).await.map(drop))),
        ("logs", code(member.container_logs(container, false, CancellationToken::new()).await.map(drop))),
        ("exec", code(member.exec(container, vec!["id".into()], false).await.map(drop))),
        ("run", code(member.run_container(run).await.map(drop))),
        ("pull", code(member.pull_image(image, Vec::new()).await)),
        ("images", code(member.images().await.map(drop))),
        ("secrets", code(member.set_room_secret(&asked, b"x").await)),
        ("log", code(member.log("x", &json!({})))),
        ("watch", code(member.watch_log(true))),
        ("messaging", code(member.enable_messaging())),
        ("broadcast", code(member.broadcast_message("x", json!({}), b""))),
    ]
}

#[tokio::test]
async fn a_participant_may_what_both_its_token_and_its_key_allow() {
    let world = World::new().await;
    let service = world.service("weather", json!({"private": false})).await.to_string();
    let image = world.registry.public();
    let (ann, _in) = admin(&world).await;
    world.engine.started("weather", 1).await;
    let container = id_of(&ann, "weather").await;
    let containers = ["containers", "logs", "exec", "run", "pull", "images"];
    for (role, scope, allowed) in [
        (
            Role::Admin,
            all(),
            vec![
                "services",
                "restart",
                "containers",
                "logs",
                "exec",
                "run",
                "pull",
                "images",
                "secrets",
                "log",
                "watch",
                "messaging",
                "broadcast",
            ],
        ),
        (Role::Admin, json!({}), vec![]),
        (Role::Admin, json!({"services": {}}), vec!["services", "restart"]),
        (Role::Admin, json!({"services": {"list": false}}), vec!["restart"]),
        (Role::Admin, json!({"containers": {}}), containers.to_vec()),
        (Role::Admin, json!({"containers": {"use_containers": false}}), vec![]),
        (
            Role::Admin,
            json!({"containers": {"logs": false, "run": [], "pull": ["elsewhere/*"]}}),
            vec!["containers", "exec", "images"],
        ),
        (Role::Admin, json!({"developer": {"logs": false}}), vec!["log"]),
        (Role::Admin, json!({"messaging": {"broadcast": false}}), vec!["messaging"]),
        (Role::Member, all(), vec!["secrets", "log", "watch", "messaging", "broadcast"]),
    ] {
        let (member, _in) = joined(&world, "bob", role, true, scope.clone()).await;
        let tried = tried(&member, &container, &service, &image).await;
        let may: Vec<_> = tried.iter().filter(|(_, code)| code == "ok").map(|(name, _)| *name).collect();
        assert_eq!(may, allowed, "{role} {scope}: {tried:?}");
        assert!(tried.iter().all(|(_, code)| code == "ok" || code == "not_allowed"), "{tried:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_members_token_joins_a_session_that_runs_and_launches_none() {
    let world = World::new().await;
    let key = make_key(&world.store, world.project, Role::Member, false).await;
    let text = token(&key, "bob", agent());
    assert_eq!(code(join(&world, &text).await), "not_allowed", "it may make no room");
    let (_ann, ann_in) = admin(&world).await;
    let (bob, bob_in) = join(&world, &text).await.unwrap();
    drop((ann_in, bob_in));
    over(&world, bob.session()).await;
    let refusal = join(&world, &text).await.map(drop).unwrap_err();
    assert!(refusal.message.contains("no session runs"), "{refusal}");
    world.end().await;
}

#[tokio::test]
async fn a_deleted_key_ends_its_participants() {
    let world = World::new().await;
    let key = make_key(&world.store, world.project, Role::Developer, false).await;
    let (bob, _in) = join(&world, &token(&key, "bob", agent())).await.unwrap();
    bob.is_still_good().await.unwrap();
    world.control.delete_api_key(&world.admin, world.project, key.id).await.unwrap();
    assert_eq!(code(bob.is_still_good().await), "unauthenticated");
    world.end().await;
}

#[tokio::test]
async fn who_may_look_into_a_container() {
    let world = World::new().await;
    let secret = world.secret("weather-api", json!({"KEY": "value-of-weather"})).await;
    let token = json!([{"name": "MY_TOKEN", "token": {"identity": "own"}}]);
    world.service("private", json!({})).await;
    world.service("open", json!({"private": false})).await;
    world.service("bound", json!({"private": false, "secrets": [secret], "environment": token})).await;
    let sealed = json!([{"name": "API_TOKEN", "value": "value-of-a-token"}]);
    world.service("sealed", json!({"private": false, "environment": sealed})).await;
    let (ann, _in) = admin(&world).await;
    let own = world.engine.started("bound", 1).await.variable("MY_TOKEN").unwrap().to_owned();
    for name in ["private", "open", "sealed"] {
        world.engine.started(name, 1).await;
    }
    let (own, _in2) = join(&world, &own).await.unwrap();
    let (binder, _in3) =
        joined(&world, "binder", Role::Developer, true, json!({"containers": {}, "secrets": {}})).await;
    let (agent, _in4) = joined(&world, "agent", Role::Developer, true, agent()).await;
    let (plain, _in5) = joined(&world, "plain", Role::Developer, false, all()).await;
    for (who, member, private, open, bound, sealed) in [
        ("admin", &ann, "private_container", "ok", "ok", "ok"),
        ("developer with bind", &binder, "private_container", "ok", "ok", "ok"),
        ("its agent", &agent, "private_container", "ok", "not_allowed", "not_allowed"),
        ("developer without", &plain, "private_container", "ok", "not_allowed", "not_allowed"),
        ("the service itself", &own, "private_container", "ok", "ok", "not_allowed"),
    ] {
        for (name, expected) in [("private", private), ("open", open), ("bound", bound), ("sealed", sealed)] {
            let got = member.exec(&id_of(&ann, name).await, vec!["env".into()], false).await;
            assert_eq!(got.map_or_else(|refusal| refusal.code, |_| "ok".to_owned()), expected, "{who} into {name}");
        }
    }
    let rows = world.control.audit(&world.admin, world.project, None, Some(500)).await.unwrap().rows;
    let execs: Vec<_> =
        rows.iter().filter(|row| row.action == "container.exec").map(|row| row.outcome.as_str()).collect();
    assert!(execs.contains(&"done") && execs.contains(&"refused: not_allowed"), "{execs:?}");
    // What it says comes back, to its end.
    let mut exec = ann.exec(&id_of(&ann, "open").await, vec!["echo".into(), "hi".into()], false).await.unwrap();
    let said: Vec<_> = exec.output.by_ref().map(Result::unwrap).collect().await;
    assert_eq!(said, [ExecOutput::Started, ExecOutput::Stdout(b"echo hi".to_vec()), ExecOutput::Exited(0)]);
    world.end().await;
}

#[tokio::test]
async fn a_service_on_demand_runs_when_asked_for() {
    let world = World::new().await;
    let secret = world.secret("weather-api", json!({"KEY": "value-of-weather"})).await;
    let environment = json!([{"name": "CITY", "value": "oslo"}]);
    let container = json!({"on_demand": true, "secrets": [secret], "environment": environment});
    let job = world.service("job", container).await.to_string();
    let plain = world.service("plain", json!({"on_demand": true})).await.to_string();
    let (ann, _in) = admin(&world).await;
    assert!(ann.containers(true).await.unwrap().is_empty(), "it does not start with the session");
    let (bob, _in2) = joined(&world, "bob", Role::Developer, false, all()).await;
    let env = |name: &str| vec![(name.to_owned(), SecretText::from("x"))];
    assert_eq!(code(bob.run_service(&job, Vec::new()).await), "not_allowed");
    assert_eq!(code(bob.run_service(&world.project.to_string(), Vec::new()).await), "service_not_found");
    for taken in
        ["KEY", "CITY", "MESHAGENT_ROOM", "LD_PRELOAD", "https_proxy", "NODE_OPTIONS", "PYTHONPATH", "PATH", "1X"]
    {
        let refusal = ann.run_service(&job, env(taken)).await.unwrap_err();
        assert_eq!((refusal.kind, refusal.field.as_str()), (RefusalKind::Invalid, "env"), "{taken}");
        assert!(!refusal.message.contains("value-of"), "{refusal}");
    }
    let id = ann.run_service(&job, env("MORE")).await.unwrap();
    let start = world.engine.started("job", 1).await;
    assert_eq!(
        ["KEY", "CITY", "MORE"].map(|name| start.variable(name)),
        [Some("value-of-weather"), Some("oslo"), Some("x")]
    );
    assert_eq!(ann.run_service(&job, Vec::new()).await.unwrap(), id, "it runs already");
    assert_eq!(code(ann.run_service(&job, env("OTHER")).await), "already_running");
    let listed = ann.containers(false).await.unwrap();
    assert_eq!((listed.len(), listed[0].started_by.1.as_str(), listed[0].service.is_some()), (1, "ann", true));
    world.engine.exit("job", 3);
    assert_eq!(ann.wait_for_exit(&id.to_string()).await.unwrap(), 3);
    // It runs once; again when it is asked for again, and without what was added for one time.
    assert_eq!(ann.run_service(&job, Vec::new()).await.unwrap(), id);
    assert_eq!(world.engine.started("job", 2).await.variable("MORE"), None);
    bob.run_service(&plain, env("MORE")).await.unwrap();
    assert_eq!(world.session(ann.session()).await.state.as_str(), "ready");
    world.end().await;
}

#[tokio::test]
async fn a_container_of_ones_own_runs_once_beside_the_services() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    let (ann, _in) = admin(&world).await;
    let session = ann.session();
    world.engine.started("weather", 1).await;
    let run = |name: &str| RunContainer {
        image: world.registry.public(),
        command: Some("serve 'a b'".to_owned()),
        environment: vec![("A".to_owned(), SecretText::from("b"))],
        participant_name: Some("helper".to_owned()),
        name: Some(name.to_owned()),
        private: true,
        ..RunContainer::default()
    };
    let id = ann.run_container(run("mine")).await.unwrap().to_string();
    let Start { workload, environment } = world.engine.started("mine", 1).await;
    assert_eq!(workload.command.unwrap(), ["serve", "a b"]);
    assert!(environment.0.iter().any(|variable| variable.name.as_str() == "A" && variable.value.expose() == "b"));
    let given = environment.0.iter().find(|variable| variable.name.as_str() == "MESHAGENT_TOKEN").unwrap();
    let (helper, _in2) = join(&world, given.value.expose()).await.unwrap();
    assert_eq!(code(helper.room_secrets().await), "not_allowed", "what its asker may not hand on");
    assert_eq!(world.engine.peers(session), ["weather", "mine"]);
    assert_eq!(code(ann.run_container(run("weather")).await), "same_host_name");
    // Private: its asker's own.
    ann.exec(&id, vec!["id".into()], false).await.unwrap();
    let (bob, _in3) = joined(&world, "bob", Role::Admin, true, all()).await;
    assert_eq!(code(bob.exec(&id, vec!["id".into()], false).await), "private_container");
    assert_eq!(code(ann.delete_container(&id).await), "in_use");
    assert_eq!(code(ann.delete_container(&id_of(&ann, "weather").await).await), "in_use");
    world.engine.exit("mine", 7);
    assert_eq!(ann.wait_for_exit(&id).await.unwrap(), 7);
    assert_eq!(world.engine.starts().len(), 2, "it is not started again");
    assert_eq!(world.session(session).await.state.as_str(), "ready", "and is no fault of the session");
    assert_eq!(ann.containers(false).await.unwrap().len(), 1);
    ann.delete_container(&id).await.unwrap();
    assert_eq!(code(ann.stop_container(&id, false).await), "container_not_found");
    assert_eq!(world.engine.services(), ["weather"]);
    // A service that is stopped stays so, over a restart of the server too, until it is restarted.
    let weather = id_of(&ann, "weather").await;
    ann.stop_container(&weather, true).await.unwrap();
    assert_eq!(ann.containers(true).await.unwrap()[0].stage, Stage::Exited);
    world.launch().await;
    let world = world.restarted().await;
    assert_eq!(of(&world.session(session).await, "weather").state, "stopped");
    assert_eq!(world.engine.starts().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_rooms_services_follow_edits_in_its_session_and_the_projects_do_not() {
    let world = World::new().await;
    let (ann, _in) = admin(&world).await;
    let session = ann.session();
    let lobby = || Scope::Room("lobby".parse().unwrap());
    let city = |name: &str, city: &str| world.spec(name, json!({"environment": [{"name": "CITY", "value": city}]}));
    let made =
        world.control.create_service(&world.admin, world.project, lobby(), city("in-room", "oslo")).await.unwrap();
    let id = made.id.unwrap().parse().unwrap();
    assert_eq!(world.engine.started("in-room", 1).await.variable("CITY"), Some("oslo"));
    assert_eq!(world.engine.peers(session), ["in-room"]);
    world.control.update_service(&world.admin, world.project, lobby(), id, city("in-room", "rome")).await.unwrap();
    assert_eq!(world.engine.started("in-room", 2).await.variable("CITY"), Some("rome"));
    // One that cannot be is not taken over; what runs goes on, and the session says why.
    let mut broken = city("in-room", "rome");
    broken.container.as_mut().unwrap().image = format!("{}-none", world.registry.public());
    world.control.update_service(&world.admin, world.project, lobby(), id, broken).await.unwrap();
    let told = async {
        while !events(&world, session).await.iter().any(|(kind, _)| kind == "service.not_updated") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the session says so");
    assert_eq!(of(&world.session(session).await, "in-room").state, "ready");
    world.control.delete_service(&world.admin, world.project, lobby(), id).await.unwrap();
    world.engine.until(|engine| engine.services().is_empty().then_some(())).await;
    assert!(world.session(session).await.workloads.unwrap().is_empty());

    world.service("in-project", json!({})).await;
    grace().await;
    assert!(world.session(session).await.workloads.unwrap().is_empty(), "theirs is the next session");
    world.end().await;
}

#[tokio::test]
async fn a_participants_secrets_are_its_own() {
    let world = World::new().await;
    let (ann, _in) = admin(&world).await;
    let (bob, _in2) = joined(&world, "bob", Role::Member, false, json!({"secrets": {}})).await;
    let asked = |id: &str| RoomSecretAsked { secret_id: Some(id.to_owned()), ..RoomSecretAsked::default() };
    bob.set_room_secret(&asked("mine"), b"value-of-bob").await.unwrap();
    let left = RoomSecretAsked { delegated_to: Some("ann".to_owned()), ..asked("left") };
    bob.set_room_secret(&left, b"value-for-ann").await.unwrap();
    let names = |all: Vec<meshkeep_control::RoomSecretShown>| all.into_iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(names(bob.room_secrets().await.unwrap()), ["left", "mine"]);
    assert_eq!(names(ann.room_secrets().await.unwrap()), ["left"], "an admin's are no others");
    assert_eq!(&ann.room_secret(&asked("left")).await.unwrap().unwrap().1[..], b"value-for-ann");
    assert!(ann.room_secret(&asked("mine")).await.unwrap().is_none());
    let for_ann = RoomSecretAsked { for_identity: Some("ann".to_owned()), ..asked("forced") };
    assert_eq!(code(bob.set_room_secret(&for_ann, b"x").await), "not_allowed");
    let for_bob = RoomSecretAsked { for_identity: Some("bob".to_owned()), ..asked("given") };
    ann.set_room_secret(&for_bob, b"x").await.unwrap();
    assert_eq!(names(bob.room_secrets().await.unwrap()), ["given", "left", "mine"]);
    assert_eq!(code(ann.delete_room_secret("mine", None).await), "not_found");
    assert_eq!(code(bob.set_room_secret(&asked("large"), &[0; 70_000]).await), "invalid");

    // A service gets one as a variable; without it the service does not start, and says so.
    let variable = json!([{"name": "LOGIN", "secret": {"identity": "bob", "id": "mine"}}]);
    let service = world.service("uses", json!({"environment": variable})).await;
    bob.delete_room_secret("mine", None).await.unwrap();
    world.terminate(ann.session()).await;
    let session = world.launch().await.id;
    assert_eq!(crate::world::code(&world.until_state(session, "uses", "failed").await), "room_secret_missing");
    let (bob, _in3) = joined(&world, "bob", Role::Member, false, json!({"secrets": {}})).await;
    bob.set_room_secret(&asked("mine"), b"value-of-bob").await.unwrap();
    world.restart(session, service).await.unwrap();
    let start = world.engine.started("uses", 1).await;
    assert_eq!(start.variable("LOGIN"), Some("value-of-bob"));
    assert!(
        start.environment.0.iter().any(|one| one.name.as_str() == "LOGIN" && one.is_secret()),
        "kept out of its log"
    );
    world.end().await;
}

#[tokio::test]
async fn a_service_gets_a_key_of_its_own_that_goes_with_it() {
    let world = World::new().await;
    let service = world.service("weather", json!({"api_key": {"role": "admin", "name": "for weather"}})).await;
    let made = async || {
        let all = world.control.list_api_keys(&world.admin, world.project).await.unwrap().keys;
        all.iter().filter(|key| key.name == "for weather").count()
    };
    let session = world.launch().await.id;
    let start = world.engine.started("weather", 1).await;
    let given = start.variable("MESHAGENT_API_KEY").unwrap().to_owned();
    let caller = world.control.authenticate(Some(&given), Origin::default()).await.unwrap();
    assert_eq!(caller.grant().role, Role::Admin);
    world.restart(session, service).await.unwrap();
    assert_eq!(
        world.engine.started("weather", 2).await.variable("MESHAGENT_API_KEY"),
        Some(given.as_str()),
        "the same"
    );
    assert_eq!(made().await, 1);
    // Its holder is the platform's: it keeps no session open.
    let key = ApiKeyText::parse(&given).unwrap();
    world.terminate(session).await;
    let (ann, ann_in) = admin(&world).await;
    let (_helper, _in) = join(&world, &token(&key, "helper", agent())).await.unwrap();
    drop(ann_in);
    over(&world, ann.session()).await;
    world.control.delete_service(&world.admin, world.project, Scope::Project, service).await.unwrap();
    assert_eq!(code(world.control.authenticate(Some(&given), Origin::default()).await), "unauthenticated");
    assert_eq!(made().await, 0);
    let none = json!({"api_key": {"role": "admin", "name": "none", "auto_provision": false}});
    world.service("without", none).await;
    let session = world.launch().await.id;
    assert_eq!(crate::world::code(&world.until_state(session, "without", "failed").await), "api_key_missing");
    world.end().await;
}

#[tokio::test]
async fn images_are_a_sessions_own() {
    let world = World::new().await;
    let (ann, _in) = admin(&world).await;
    let image = world.registry.private();
    assert_eq!(code(ann.pull_image(&image, Vec::new()).await), "no_credential");
    let credential = |registry: Option<String>| ImageCredential {
        registry,
        username: "robot".into(),
        password: SecretText::from("correct-horse"),
    };
    assert_eq!(
        code(ann.pull_image(&image, vec![credential(Some("elsewhere.example".to_owned()))]).await),
        "no_credential"
    );
    ann.pull_image(&image, vec![credential(None)]).await.unwrap();
    let listed = ann.images().await.unwrap();
    assert_eq!((listed.len(), listed[0].references.as_slice()), (1, [image.clone()].as_slice()));
    assert!(listed[0].bytes > 0);
    // What is cached proves nothing for the next one.
    assert_eq!(
        code(ann.run_container(RunContainer { image: image.clone(), ..Default::default() }).await),
        "no_credential"
    );
    let key = make_key(&world.store, world.project, Role::Admin, true).await;
    let elsewhere = signed(&key, Algorithm::HS256, |claims| {
        claims["grants"] = json!([{"name": "room", "scope": "other"}, {"name": "api", "scope": all()}]);
    });
    let other = world.control.participant(&elsewhere, &"other".parse().unwrap(), Origin::default()).await.unwrap();
    let (other, _in2) = world.control.join_room(other).await.unwrap();
    assert!(other.images().await.unwrap().is_empty());
    assert_eq!(code(other.delete_image(&image).await), "not_found");
    ann.delete_image(&image).await.unwrap();
    assert!(ann.images().await.unwrap().is_empty());
    world.end().await;
}

#[tokio::test]
async fn endpoints_are_called_at_each_start_with_a_token_for_the_room() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    // The engine in memory puts every service at this address.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut spec = world.spec("agent", json!({}));
    spec.ports = serde_json::from_value(json!([
        {"num": port, "endpoints": [{"path": "/agent", "meshagent": {"identity": "weather-bot"}}]},
    ]))
    .unwrap();
    let service = world.service_of(spec).await;
    let session = world.launch().await.id;
    for attempt in 1..=2 {
        let (mut stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("it is called").unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\"room.call\"}") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        let request = String::from_utf8(request).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /agent HTTP/1.1\r\n"), "{head}");
        let call: Value = serde_json::from_str(body).unwrap();
        assert_eq!(call["event"], "room.call");
        assert_eq!(call["data"]["room_url"], "ws://meshkeep:4680/rooms/lobby");
        assert_eq!((&call["data"]["room_name"], &call["data"]["arguments"]), (&json!("lobby"), &json!({})));
        let (bot, _in) = join(&world, call["data"]["token"].as_str().unwrap()).await.unwrap();
        assert_eq!(bot.attributes()["name"], "weather-bot");
        if attempt == 1 {
            let start = world.engine.started("agent", 1).await;
            assert!(
                join(&world, start.variable("MESHAGENT_TOKEN").unwrap()).await.is_ok(),
                "its variable holds one as well"
            );
            world.restart(session, service).await.unwrap();
        }
    }
    let told = async {
        while events(&world, session).await.iter().filter(|(kind, _)| kind == "endpoint.called").count() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the session says so");
    world.end().await;
}

#[tokio::test]
async fn a_published_port_is_for_participants_unless_it_is_public() {
    let world = World::new().await;
    let mut spec = world.spec("web", json!({}));
    spec.ports = serde_json::from_value(json!([
        {"num": 8000}, {"num": 8001, "published": true}, {"num": 8002, "published": true, "public": true},
        {"num": "*", "published": true}, {"num": 8003, "public": true},
    ]))
    .unwrap();
    let service = world.service_of(spec).await.to_string();
    let room: meshkeep_core::name::RoomName = "lobby".parse().unwrap();
    let key = make_key(&world.store, world.project, Role::Member, false).await;
    let good = token(&key, "bob", json!({}));
    let port = async |service: &str, port: u16, token: Option<&str>| {
        let found = world.control.published_port(&room, service, port, token, Origin::default()).await;
        found.map_or_else(|refusal| refusal.code, |found| format!("{} {}", found.address, found.hides_credential))
    };
    assert_eq!(port("web", 8002, None).await, "unauthenticated", "nothing runs");
    world.launch().await;
    world.engine.started("web", 1).await;
    world
        .until(
            world.control.list_sessions(&world.admin, world.project, true).await.unwrap().sessions[0].id,
            |session| session.state.as_str() == "ready",
        )
        .await;
    for name in ["web", "WEB", service.as_str()] {
        assert_eq!(port(name, 8001, Some(&good)).await, "127.0.0.1:8001 true");
        assert_eq!(port(name, 8002, Some(&good)).await, "127.0.0.1:8002 true");
        assert_eq!(port(name, 8080, Some(&good)).await, "127.0.0.1:8080 true", "the one that was picked");
        assert_eq!(port(name, 8002, None).await, "127.0.0.1:8002 false");
        assert_eq!(port(name, 8002, Some("the service's own")).await, "127.0.0.1:8002 false");
        for (number, token, expected) in [
            (8000, Some(good.as_str()), "not_found"),
            (8003, Some(good.as_str()), "not_found"),
            (8001, None, "unauthenticated"),
            (8000, None, "unauthenticated"),
            (8003, None, "unauthenticated"),
            (8001, Some("x"), "unauthenticated"),
            (8001, Some(key.format().expose()), "unauthenticated"),
        ] {
            assert_eq!(port(name, number, token).await, expected, "{number}");
        }
    }
    let elsewhere = signed(&key, Algorithm::HS256, |claims| claims["grants"][0]["scope"] = json!("other"));
    assert_eq!(port("web", 8001, Some(&elsewhere)).await, "other_room");
    world.engine.exit("web", 0);
    world.engine.until(|_| Some(())).await;
    let gone = async {
        while port("web", 8001, Some(&good)).await != "not_running" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it is said when nothing runs");
    world.end().await;
}

#[tokio::test]
async fn messages_arrive_in_order_and_none_is_lost() {
    let world = World::new().await;
    let key = make_key(&world.store, world.project, Role::Developer, false).await;
    let mut members = Vec::new();
    for number in 0..20 {
        let (member, inbox) = join(&world, &token(&key, &format!("p{number}"), agent())).await.unwrap();
        member.enable_messaging().unwrap();
        members.push((member, inbox));
    }
    let readers: Vec<_> = members
        .into_iter()
        .map(|(member, mut inbox)| {
            let own = member.id().to_string();
            let sender = Arc::clone(&member);
            let sending = tokio::spawn(async move {
                for n in 0..100 {
                    sender.broadcast_message("n", json!(n), b"").unwrap();
                    tokio::task::yield_now().await;
                }
            });
            tokio::spawn(async move {
                let mut seen = std::collections::BTreeMap::<String, u64>::new();
                while seen.len() < 19 || seen.values().any(|next| *next < 100) {
                    let event = tokio::time::timeout(PATIENCE, inbox.events.recv()).await.expect("it comes").unwrap();
                    let header = Payload::unpack(&event.data).unwrap().header;
                    if header["type"] == "n" {
                        let from = header["from_participant_id"].as_str().unwrap().to_owned();
                        assert_ne!(from, own);
                        let next = seen.entry(from).or_default();
                        assert_eq!(header["message"].as_u64(), Some(*next), "in order, once");
                        *next += 1;
                    }
                }
                sending.await.unwrap();
                drop((member, inbox));
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    world.end().await;
}
