//! A service restarted in all its sessions: one after the other, no further than the first that does not become ready.

use meshkeep_control::Scope;
use meshkeep_core::{
    Refusal, RefusalKind,
    access::Role,
    id::{ServiceId, SessionId},
    wire::{self, RestartOutcome, RestartState, RollingRestart},
};
use meshkeep_engine::EngineError;
use serde_json::json;

use crate::{
    registry::Mood,
    world::{PATIENCE, World},
};

/// Sessions of rooms of these names, in this order.
pub async fn launched(world: &World, rooms: &[&str]) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    for name in rooms {
        let room = wire::RoomCreate { name: (*name).to_owned(), ..Default::default() };
        world.control.create_room(&world.admin, world.project, room).await.unwrap();
        let name = name.parse().unwrap();
        sessions.push(world.control.launch_session(&world.admin, world.project, name).await.unwrap().0.id);
    }
    world.engine.started("weather", rooms.len()).await;
    sessions
}

pub async fn ready(world: &World, sessions: &[SessionId]) {
    for session in sessions {
        world.until_state(*session, "weather", "ready").await;
    }
}

pub async fn begin(world: &World, service: ServiceId) -> Result<RollingRestart, Refusal> {
    world.control.begin_rolling_restart(&world.admin, world.project, Scope::Project, service).await
}

pub async fn read(world: &World, service: ServiceId) -> Result<RollingRestart, Refusal> {
    world.control.rolling_restart(&world.admin, world.project, Scope::Project, service).await
}

/// Waits for its end.
pub async fn ended(world: &World, service: ServiceId) -> RollingRestart {
    let mut changes = world.control.changes();
    let waited = async {
        loop {
            changes.mark_unchanged();
            let restart = read(world, service).await.unwrap();
            if restart.state != RestartState::Running {
                return restart;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect("it must end")
}

pub fn outcomes(restart: &RollingRestart) -> Vec<(&str, RestartOutcome)> {
    restart.sessions.iter().map(|step| (step.room_name.as_str(), step.outcome)).collect()
}

fn code(restart: &RollingRestart, at: usize) -> &str {
    &restart.sessions[at].reason.as_ref().unwrap().code
}

use RestartOutcome::{Failed, Ready, Skipped};

#[tokio::test]
async fn all_sessions_take_the_newest_versions_oldest_first() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "old"})).await;
    let service = world.service("weather", json!({"secrets": [secret]})).await;
    let sessions = launched(&world, &["c", "a", "b"]).await;
    ready(&world, &sessions).await;
    world.save_secret(secret, "s", json!({"A": "new"})).await;
    let begun = begin(&world, service).await.unwrap();
    assert_eq!((begun.state, begun.sessions.len()), (RestartState::Running, 3));
    let done = ended(&world, service).await;
    assert_eq!((done.id, done.state, done.hint.as_str()), (begun.id, RestartState::Done, ""));
    assert_eq!(outcomes(&done), [("c", Ready), ("a", Ready), ("b", Ready)]);
    let starts = world.engine.starts();
    let restarted: Vec<_> = starts[3..].iter().map(|start| (start.workload.session, start.variable("A"))).collect();
    let expected: Vec<_> = sessions.iter().map(|session| (*session, Some("new"))).collect();
    assert_eq!(restarted, expected);
    let saved = world.save_secret(secret, "s", json!({"A": "newer"})).await;
    assert_eq!(saved.sessions_on_older, 3);

    let rows = world.control.audit(&world.admin, world.project, None, None).await.unwrap().rows;
    let mine: Vec<_> = rows
        .iter()
        .filter(|row| row.object.contains(&begun.id.to_string()) || row.origin.contains(&begun.id.to_string()))
        .map(|row| (row.action.as_str(), row.outcome.as_str()))
        .collect();
    let restarts = [("session.restart", "done"); 3];
    assert_eq!(mine, [&[("service.restart", "done")][..], &restarts, &[("service.restart.end", "done")]].concat());
    assert!(rows.iter().filter(|row| row.action.contains("restart")).all(|row| row.actor == begun.started_by));
    world.end().await;
}

#[tokio::test]
async fn the_first_that_fails_stops_it_and_the_rest_runs_on() {
    let world = World::new().await;
    let service = world.service("weather", json!({})).await;
    ready(&world, &launched(&world, &["a", "b", "c"]).await).await;
    let refusal = Refusal::new(RefusalKind::Invalid, "unknown_command", "there is no such program");
    world.engine.fail_next("weather", EngineError::Rejected(refusal));
    begin(&world, service).await.unwrap();
    let stopped = ended(&world, service).await;
    assert_eq!(stopped.state, RestartState::Stopped);
    assert_eq!(outcomes(&stopped), [("a", Failed), ("b", Skipped), ("c", Skipped)]);
    assert_eq!((code(&stopped, 0), code(&stopped, 1)), ("unknown_command", "left_alone"));
    assert!(stopped.hint.contains("room a"), "{}", stopped.hint);
    assert_eq!(world.engine.starts().len(), 3, "nobody else was touched");

    world.registry.becomes(Mood::Down);
    begin(&world, service).await.unwrap();
    let stopped = ended(&world, service).await;
    assert_eq!((code(&stopped, 0), world.engine.starts().len()), ("registry_failed", 3));
    world.registry.becomes(Mood::Good);
    begin(&world, service).await.unwrap();
    assert_eq!(ended(&world, service).await.state, RestartState::Done);
    world.end().await;
}

#[tokio::test]
async fn a_process_that_ends_at_once_was_not_ready() {
    let world = World::new().await;
    let service = world.service("weather", json!({})).await;
    ready(&world, &launched(&world, &["a", "b"]).await).await;
    begin(&world, service).await.unwrap();
    let start = world.engine.started("weather", 3).await;
    world.engine.exit_one(start.workload.id, 1);
    let stopped = ended(&world, service).await;
    assert_eq!(outcomes(&stopped), [("a", Failed), ("b", Skipped)]);
    assert_eq!(code(&stopped, 0), "crashed");
    world.end().await;
}

#[tokio::test]
async fn a_job_that_did_its_work_does_not_stop_it() {
    let world = World::new().await;
    let service = world.service("weather", json!({})).await;
    ready(&world, &launched(&world, &["a", "b"]).await).await;
    begin(&world, service).await.unwrap();
    for count in [3, 4] {
        let start = world.engine.started("weather", count).await;
        world.engine.exit_one(start.workload.id, 0);
    }
    assert_eq!(outcomes(&ended(&world, service).await), [("a", Ready), ("b", Ready)]);
    world.end().await;
}

/// A service whose liveness path nobody answers.
pub async fn never_ready(world: &World) -> ServiceId {
    let mut spec = world.spec("weather", json!({}));
    spec.ports = serde_json::from_value(json!([{"num": 1, "liveness": "/healthz"}])).unwrap();
    world.service_of(spec).await
}

#[tokio::test]
async fn one_that_does_not_become_ready_in_time_has_failed() {
    let world = World::new().await;
    let service = never_ready(&world).await;
    launched(&world, &["a", "b"]).await;
    begin(&world, service).await.unwrap();
    let stopped = ended(&world, service).await;
    assert_eq!(outcomes(&stopped), [("a", Failed), ("b", Skipped)]);
    assert_eq!((code(&stopped, 0), world.engine.starts().len()), ("not_ready", 3));
    world.end().await;
}

#[tokio::test]
async fn sessions_that_end_and_a_service_that_is_deleted_meanwhile_are_told() {
    let world = World::new().await;
    let service = never_ready(&world).await;
    let sessions = launched(&world, &["a", "b", "c"]).await;
    begin(&world, service).await.unwrap();
    world.engine.started("weather", 4).await;
    world.terminate(sessions[1]).await;
    world.control.delete_service(&world.admin, world.project, Scope::Project, service).await.unwrap();
    world.terminate(sessions[0]).await;
    let mut changes = world.control.changes();
    let stopped = loop {
        changes.mark_unchanged();
        let mut tx = world.store.read("test").await.unwrap();
        let restart = tx.newest_rolling_restart(world.project, service).await.unwrap().unwrap();
        drop(tx);
        if restart.state != RestartState::Running {
            break restart;
        }
        tokio::time::timeout(PATIENCE, changes.changed()).await.expect("it must end").unwrap();
    };
    let steps: Vec<_> =
        stopped.steps.iter().map(|step| (step.outcome, step.reason.as_ref().unwrap().code.as_str())).collect();
    assert_eq!(steps, [(Skipped, "session_over"), (Skipped, "session_over"), (Failed, "service_deleted")]);
    world.end().await;
}

#[tokio::test]
async fn the_next_server_goes_on_and_restarts_nothing_twice() {
    let world = World::new().await;
    let service = world.service("weather", json!({})).await;
    ready(&world, &launched(&world, &["a", "b", "c"]).await).await;
    world.registry.becomes(Mood::Silent);
    begin(&world, service).await.unwrap();
    let asked = world.registry.requests().len();
    let world = world.restarted().await;
    assert_eq!(read(&world, service).await.unwrap().state, RestartState::Running);
    world.registry.becomes(Mood::Good);
    let world = world.restarted().await;
    assert_eq!(outcomes(&ended(&world, service).await), [("a", Ready), ("b", Ready), ("c", Ready)]);
    assert_eq!(world.engine.starts().len(), 6);
    assert!(world.registry.requests().len() > asked);
    world.end().await;

    // Restarted already, and waited for.
    let world = World::new().await;
    let service = never_ready(&world).await;
    launched(&world, &["a", "b"]).await;
    begin(&world, service).await.unwrap();
    world.engine.started("weather", 3).await;
    let world = world.restarted().await;
    let stopped = ended(&world, service).await;
    assert_eq!(outcomes(&stopped), [("a", Failed), ("b", Skipped)]);
    assert_eq!(world.engine.starts().len(), 3, "it was not restarted again");
    world.end().await;
}

#[tokio::test]
async fn only_one_at_a_time_by_who_may_run_sessions() {
    let world = World::new().await;
    let service = never_ready(&world).await;
    let none = read(&world, service).await.unwrap_err();
    assert_eq!(none.kind, RefusalKind::NotFound);
    assert!(none.hint.contains("`meshkeep service restart weather`"), "{none}");
    let unknown: ServiceId = world.project.to_string().parse().unwrap();
    assert_eq!(begin(&world, unknown).await.unwrap_err().kind, RefusalKind::NotFound);
    let none = begin(&world, service).await.unwrap();
    assert!(none.sessions.is_empty());
    assert_eq!(ended(&world, service).await.state, RestartState::Done);
    launched(&world, &["a"]).await;
    let member = world.caller(Role::Member, true).await;
    let refusal = world.control.begin_rolling_restart(&member, world.project, Scope::Project, service).await;
    assert_eq!(refusal.unwrap_err().kind, RefusalKind::Forbidden);
    let running = begin(&world, service).await.unwrap();
    let refusal = begin(&world, service).await.unwrap_err();
    assert_eq!((refusal.kind, refusal.code.as_str()), (RefusalKind::Conflict, "restart_running"));
    assert!(refusal.message.contains(&running.id.to_string()), "{refusal}");
    assert!(refusal.hint.contains("`meshkeep service restart weather --status`"), "{refusal}");
    assert_eq!(ended(&world, service).await.state, RestartState::Stopped);
    world.end().await;
}
