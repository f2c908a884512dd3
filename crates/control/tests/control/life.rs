//! Crashes, restarts and ends.

use meshkeep_core::{Refusal, RefusalKind, workload::SessionState};
use meshkeep_engine::EngineError;
use serde_json::json;

use crate::{
    registry::Mood,
    world::{World, code},
};

#[tokio::test]
async fn a_crash_restarts_with_the_versions_and_the_proof_of_the_launch() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "old"})).await;
    world.service("weather", json!({"secrets": [secret]})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    world.save_secret(secret, "s", json!({"A": "new"})).await;
    let asked = world.registry.requests().len();

    world.engine.exit("weather", 3);
    let crashed = world.until_state(session, "weather", "exited").await;
    assert_eq!((crashed.exit_code, code(&crashed)), (Some(3), "crashed"));
    assert!(crashed.restart_at.is_some());
    assert_eq!(world.session(session).await.state, SessionState::Degraded);

    let again = world.engine.started("weather", 2).await;
    assert_eq!((again.workload.attempt, again.variable("A")), (1, Some("old")));
    let ready = world.until_state(session, "weather", "ready").await;
    assert_eq!((ready.restarts, ready.restart_at, ready.reason), (1, None, None));
    assert_eq!(world.registry.requests().len(), asked, "a backoff restart asks no registry");
    assert_eq!(world.event(session, "workload.exited").await["exit_code"], 3);
    world.end().await;
}

#[tokio::test]
async fn exit_0_is_the_end_and_no_failure() {
    let world = World::new().await;
    world.service("job", json!({})).await;
    let session = world.launch().await.id;
    world.until_state(session, "job", "ready").await;
    world.engine.exit("job", 0);
    let ended = world.until_state(session, "job", "exited").await;
    assert_eq!((ended.exit_code, ended.restart_at, ended.reason), (Some(0), None, None));
    assert_eq!(world.session(session).await.state, SessionState::Ready);
    let world = world.restarted().await;
    let ended = world.until_state(session, "job", "exited").await;
    assert_eq!((ended.exit_code, ended.restart_at), (Some(0), None));
    assert_eq!(world.engine.starts().len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_restart_by_hand_takes_the_newest_and_proves_it() {
    let world = World::new().await;
    let (secret, pull) = (world.secret("s", json!({"A": "old"})).await, world.pull_secret("correct-horse").await);
    let private = world.registry.private();
    let container = json!({"image": private, "secrets": [secret], "pull_secret": pull});
    let service = world.service("weather", container.clone()).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    world.save_secret(secret, "s", json!({"A": "new"})).await;
    let mut changed = container;
    changed["command"] = json!("other");
    let spec = world.spec("weather", changed);
    let scope = meshkeep_control::Scope::Project;
    world.control.update_service(&world.admin, world.project, scope, service, spec).await.unwrap();
    let asked = world.registry.requests().len();

    world.restart(session, service).await.unwrap();
    let again = world.engine.started("weather", 2).await;
    assert_eq!((again.workload.attempt, again.variable("A")), (1, Some("new")));
    assert_eq!(again.workload.command.as_deref(), Some(&["other".to_owned()][..]));
    assert!(world.registry.requests().len() > asked, "the registry was asked");
    let ready = world.until_state(session, "weather", "ready").await;
    assert_eq!((ready.secrets[0].version, ready.restarts), (2, 0));
    let recorded = world.recorded(session).await;
    assert_eq!((recorded.attempt, recorded.secrets[0].version), (1, 2));
    assert_eq!(world.event(session, "service.restarted").await["service"], "weather");
    world.end().await;
}

#[tokio::test]
async fn a_restart_that_is_refused_leaves_what_runs_alone() {
    let world = World::new().await;
    let pull = world.pull_secret("correct-horse").await;
    let private = world.registry.private();
    let service = world.service("weather", json!({"image": private, "pull_secret": pull})).await;
    let session = world.launch().await.id;
    let before = world.until_state(session, "weather", "ready").await;
    world.registry.becomes(Mood::Down);
    assert_eq!(world.restart(session, service).await.unwrap_err().kind, RefusalKind::Unavailable);
    world.registry.becomes(Mood::Good);
    let set = serde_json::from_value(json!({"set": {"password": "wrong"}})).unwrap();
    world.control.patch_secret(&world.admin, world.project, pull, set, None).await.unwrap();
    assert_eq!(world.restart(session, service).await.unwrap_err().code, "wrong_credential");
    let mut after = world.until_state(session, "weather", "ready").await;
    assert_eq!(after.pull_secret.as_mut().unwrap().newest.take(), Some(2));
    assert_eq!(after, before);
    assert_eq!(world.engine.starts().len(), 1);

    world.control.delete_service(&world.admin, world.project, meshkeep_control::Scope::Project, service).await.unwrap();
    assert_eq!(world.restart(session, service).await.unwrap_err().code, "service_deleted");
    world.terminate(session).await;
    assert_eq!(world.restart(session, service).await.unwrap_err().code, "session_over");
    world.end().await;
}

#[tokio::test]
async fn a_start_that_the_user_must_mend_rests_and_one_that_may_pass_is_tried_again() {
    let world = World::new().await;
    let mend = Refusal::new(RefusalKind::Invalid, "unknown_command", "there is no such command").hint("mend it");
    let wait = Refusal::new(RefusalKind::Unavailable, "no_address", "no address is free").hint("wait");
    let broke = || EngineError::Broken { what: "mounting".to_owned(), source: "no such device".into() };
    world.engine.fail_next("mend", EngineError::Rejected(mend));
    world.engine.fail_next("wait", EngineError::Unavailable(wait));
    world.engine.fail_next("broken", broke());
    let service = world.service("mend", json!({})).await;
    world.service("wait", json!({})).await;
    world.service("broken", json!({})).await;
    let session = world.launch().await.id;
    let mended = world.until_state(session, "mend", "failed").await;
    assert_eq!((code(&mended), mended.restart_at), ("unknown_command", None));
    let broken = world.until(session, |session| crate::world::of(session, "broken").restart_at.is_some()).await;
    let broken = crate::world::of(&broken, "broken");
    assert_eq!(code(broken), "engine_error");
    assert!(!format!("{broken:?}").contains("no such device"), "the cause is for the log");
    world.until_state(session, "wait", "ready").await;
    world.until_state(session, "broken", "ready").await;
    world.restart(session, service).await.unwrap();
    world.until_state(session, "mend", "ready").await;
    world.end().await;
}

#[tokio::test]
async fn what_the_engine_loses_is_started_again() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    world.engine.lose("weather", Refusal::new(RefusalKind::Broken, "supervisor_lost", "its supervisor ended"));
    let failed = world.until_state(session, "weather", "failed").await;
    assert_eq!((code(&failed), failed.restart_at.is_some()), ("supervisor_lost", true));
    world.engine.started("weather", 2).await;
    world.until_state(session, "weather", "ready").await;
    world.end().await;
}

#[tokio::test]
async fn a_session_that_is_terminated_leaves_nothing_and_stays_ended() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    world.service("clock", json!({})).await;
    let session = world.launch().await.id;
    world.until(session, |session| session.state == SessionState::Ready).await;
    world.terminate(session).await;
    assert!(world.engine.services().is_empty());
    assert_eq!(world.engine.removed_sessions(), [session]);
    let ended = world.session(session).await;
    assert_eq!((ended.state, ended.is_active, ended.ended_at.is_some()), (SessionState::Ended, false, true));
    assert_eq!(ended.workloads.unwrap().iter().map(|w| w.state.as_str()).collect::<Vec<_>>(), ["stopped", "stopped"]);
    world.event(session, "session.terminated").await;
    world.event(session, "workload.stopped").await;
    world.terminate(session).await;
    let events = world.control.session_events(&world.admin, world.project, session).await.unwrap().events;
    assert_eq!(events.iter().filter(|event| event.kind == "session.terminated").count(), 1);

    let next = world.launch().await.id;
    assert_ne!(next, session);
    world.control.terminate_all(&world.admin, world.project).await.unwrap();
    assert!(world.control.list_sessions(&world.admin, world.project, true).await.unwrap().sessions.is_empty());
    assert!(world.engine.services().is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_pull_that_hangs_does_not_hold_up_an_end() {
    let world = World::new().await;
    world.registry.becomes(Mood::Silent);
    world.service("weather", json!({})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "pulling").await;
    world.terminate(session).await;
    assert_eq!(world.session(session).await.state, SessionState::Ended);
    let second = world.launch().await.id;
    world.until_state(second, "weather", "pulling").await;
    // The server's own end neither.
    let world = world.restarted().await;
    world.until_state(second, "weather", "pulling").await;
    world.end().await;
}
