//! From a launch to services that run with exactly their own secrets.

use meshkeep_core::{
    environment::Origin,
    service::{PortNum, PortSpec},
    workload::SessionState,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    registry::Mood,
    world::{World, code, of},
};

#[tokio::test]
async fn a_service_starts_from_a_private_image_with_exactly_its_own_secrets() {
    let world = World::new().await;
    let first =
        world.secret("first", json!({"API_KEY": "value of the first", "SHARED": "first", "PEM": "a\nb\n"})).await;
    let second = world.secret("second", json!({"SHARED": "second", "MODE": "secret"})).await;
    let other = world.secret("other", json!({"OTHER": "not for weather"})).await;
    let pull = world.pull_secret("correct-horse").await;
    let private = world.registry.private();
    let weather = json!({
        "image": private, "pull_secret": pull, "secrets": [first, second], "command": "serve 'a b'",
        "environment": [{"name": "MODE", "value": "manifest"}, {"name": "MESHAGENT_ROOM", "value": "own"}],
    });
    world.service("weather", weather).await;
    world.service("clock", json!({"secrets": [other]})).await;

    let session = world.launch().await;
    assert_eq!((session.state, session.is_active), (SessionState::Starting, true));
    let session = world.until(session.id, |session| session.state == SessionState::Ready).await;
    let again = world.launch().await;
    assert_eq!(again.id, session.id, "a room has one session");

    let start = world.engine.started("weather", 1).await;
    let environment: Vec<_> =
        start.environment.0.iter().map(|v| (v.name.as_str(), v.value.expose(), v.origin.clone())).collect();
    let key = |name: &str| Origin::Secret(name.parse().unwrap());
    let (project, id) = (world.project.to_string(), session.id.to_string());
    assert_eq!(
        environment,
        [
            ("API_KEY", "value of the first", key("first")),
            ("FROM_IMAGE", "image", Origin::Image),
            ("MESHAGENT_API_URL", "http://meshkeep:4680", Origin::Platform),
            ("MESHAGENT_PROJECT_ID", &project, Origin::Platform),
            ("MESHAGENT_ROOM", "own", Origin::Manifest),
            ("MESHAGENT_SESSION_ID", &id, Origin::Platform),
            ("MODE", "manifest", Origin::Manifest),
            ("PATH", "/bin", Origin::Image),
            ("PEM", "a\nb\n", key("first")),
            ("SHARED", "second", key("second")),
        ]
    );
    assert_eq!(start.workload.command.as_deref(), Some(&["serve".to_owned(), "a b".to_owned()][..]));
    let peers: Vec<_> = start.workload.peers.iter().map(|peer| (peer.name.as_str(), peer.place)).collect();
    assert_eq!(peers, [("clock", 0), ("weather", 1)]);
    let clock = world.engine.started("clock", 1).await;
    assert_eq!(clock.variable("OTHER"), Some("not for weather"));
    assert_eq!((clock.variable("API_KEY"), clock.variable("SHARED")), (None, Some("image")));

    let shown = of(&session, "weather");
    let used: Vec<_> = shown.secrets.iter().map(|used| (used.id, used.version)).collect();
    assert_eq!(used, [(first, 1), (second, 1)]);
    assert_eq!(shown.pull_secret.as_ref().unwrap().id, pull);
    assert!(shown.image_digest.as_ref().unwrap().starts_with("sha256:") && shown.started_at.is_some());
    let all = format!("{:?} {:?} {session:?}", start.workload, world.recorded(session.id).await);
    assert!(!all.contains("value of the first") && !all.contains("correct-horse"), "{all}");
    assert_eq!(world.event(session.id, "session.launched").await["services"], json!(["clock", "weather"]));
    world.event(session.id, "workload.ready").await;
    world.end().await;
}

#[tokio::test]
async fn a_service_that_cannot_have_its_image_says_why_and_the_others_run() {
    let world = World::new().await;
    let pull = world.pull_secret("wrong").await;
    let private = world.registry.private();
    world.service("without", json!({"image": private})).await;
    world.service("wrong", json!({"image": private, "pull_secret": pull})).await;
    world.service("absent", json!({"image": format!("{}/acme/absent:2", world.registry.host())})).await;
    world.service("fine", json!({})).await;
    let session = world.launch().await.id;
    for (service, why) in
        [("without", "no_credential"), ("wrong", "wrong_credential"), ("absent", "not_found_or_no_permission")]
    {
        let failed = world.until_state(session, service, "failed").await;
        assert_eq!(code(&failed), why);
        assert!(!failed.reason.unwrap().hint.is_empty());
    }
    world.until_state(session, "fine", "ready").await;
    assert_eq!(world.session(session).await.state, SessionState::Degraded);
    assert_eq!(world.engine.services(), ["fine"]);
    assert_eq!(world.event(session, "workload.failed").await["service_id"].as_str().map(str::len), Some(36));
    world.end().await;
}

#[tokio::test]
async fn a_registry_that_is_down_fails_the_launch_by_name_and_a_restart_by_hand_tries_again() {
    let world = World::new().await;
    let service = world.service("weather", json!({})).await;
    world.registry.becomes(Mood::Down);
    let session = world.launch().await.id;
    let failed = world.until_state(session, "weather", "failed").await;
    assert_eq!(code(&failed), "registry_failed");
    assert!(failed.reason.unwrap().message.contains(&world.registry.host()));
    assert_eq!(world.restart(session, service).await.unwrap_err().code, "registry_failed");
    world.registry.becomes(Mood::Good);
    world.restart(session, service).await.unwrap();
    world.until_state(session, "weather", "ready").await;
    world.end().await;
}

#[tokio::test]
async fn a_secret_that_was_deleted_fails_its_service_and_no_other() {
    let world = World::new().await;
    let (gone, kept) = (world.secret("gone", json!({"A": "a"})).await, world.secret("kept", json!({"A": "a"})).await);
    let pull = world.pull_secret("correct-horse").await;
    let keys = world.service("keys", json!({"secrets": [kept, gone]})).await;
    world.service("pull", json!({"pull_secret": pull})).await;
    world.service("fine", json!({"secrets": [kept]})).await;
    for id in [gone, pull] {
        let refusal = world.control.delete_secret(&world.admin, world.project, id, false).await.unwrap_err();
        assert_eq!(refusal.code, "in_use");
        world.control.delete_secret(&world.admin, world.project, id, true).await.unwrap();
    }
    let session = world.launch().await;
    for (service, words) in [("keys", "container.secrets[1]"), ("pull", "container.pull_secret")] {
        let failed = of(&session, service);
        assert_eq!((failed.state.as_str(), code(failed)), ("failed", "secret_deleted"));
        assert!(failed.reason.as_ref().unwrap().message.contains(words), "{failed:?}");
    }
    world.until_state(session.id, "fine", "ready").await;
    assert_eq!(world.restart(session.id, keys).await.unwrap_err().code, "secret_deleted");

    let spec = world.spec("keys", json!({"secrets": [kept]}));
    let scope = meshkeep_control::Scope::Project;
    world.control.update_service(&world.admin, world.project, scope, keys, spec).await.unwrap();
    world.restart(session.id, keys).await.unwrap();
    world.until_state(session.id, "keys", "ready").await;
    world.end().await;
}

#[tokio::test]
async fn a_service_is_ready_when_its_liveness_path_answers_200() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = world.spec("web", json!({}));
    let port: PortSpec = serde_json::from_value(json!({"num": "*", "liveness": "/healthz"})).unwrap();
    spec.ports = vec![PortSpec { num: PortNum::Fixed(listener.local_addr().unwrap().port()), ..port }];
    world.service_of(spec).await;
    let session = world.launch().await.id;
    let answer = async |status: &str| {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 20];
        stream.read_exact(&mut head).await.unwrap();
        assert!(head.starts_with(b"GET /healthz HTTP/1."));
        stream.write_all(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes()).await.unwrap();
    };
    answer("503").await;
    let running = world.until_state(session, "web", "running").await;
    assert!(running.started_at.is_some());
    assert_eq!(world.session(session).await.state, SessionState::Starting);
    answer("302").await;
    answer("200").await;
    world.until_state(session, "web", "ready").await;
    world.end().await;
}

#[tokio::test]
async fn what_does_not_start_with_a_session() {
    let world = World::new().await;
    world.service("asked-for", json!({"on_demand": true})).await;
    let mut external = world.spec("elsewhere", json!({}));
    external.container = None;
    external.external = Some(serde_json::from_value(json!({"url": "https://example.com"})).unwrap());
    world.service_of(external).await;
    let session = world.launch().await;
    assert_eq!(session.workloads, Some(vec![]));
    assert_eq!(session.state, SessionState::Ready);
    world.end().await;
}

#[tokio::test]
async fn services_of_one_host_name_are_not_launched_together() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    world.service("Weather", json!({})).await;
    let refusal = world.try_launch().await.unwrap_err();
    assert_eq!(refusal.code, "same_host_name");
    let active = world.control.list_sessions(&world.admin, world.project, false).await.unwrap();
    assert!(active.sessions.is_empty(), "nothing was half recorded");
    world.end().await;
}
