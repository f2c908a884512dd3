//! A server that ended at any point takes up where the store and the engine stand.

use meshkeep_core::{Refusal, RefusalKind, workload::WorkloadState};
use meshkeep_store::WorkloadUpdate;
use serde_json::json;

use crate::{
    registry::Mood,
    world::{World, code},
};

#[tokio::test]
async fn running_services_are_adopted_and_not_started_again() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    let session = world.launch().await.id;
    let before = world.until_state(session, "weather", "ready").await;
    world.event(session, "workload.ready").await;
    let world = world.restarted().await;
    let after = world.until_state(session, "weather", "ready").await;
    assert_eq!(after, before);
    assert_eq!(world.engine.starts().len(), 1);
    world.terminate(session).await;
    assert!(world.engine.services().is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_crash_while_the_server_was_away_restarts_with_the_launchs_versions() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "old"})).await;
    world.service("weather", json!({"secrets": [secret]})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    world.event(session, "workload.ready").await;
    world.save_secret(secret, "s", json!({"A": "new"})).await;
    let asked = world.registry.requests().len();
    let stopped = world.stop().await;
    stopped.engine.exit("weather", 9);
    let world = stopped.start().await;
    let again = world.engine.started("weather", 2).await;
    assert_eq!((again.workload.attempt, again.variable("A")), (1, Some("old")));
    let ready = world.until_state(session, "weather", "ready").await;
    assert_eq!((ready.restarts, ready.exit_code), (1, Some(9)));
    assert_eq!(world.registry.requests().len(), asked);
    world.end().await;
}

#[tokio::test]
async fn a_reboot_of_the_host_resumes_with_the_launchs_versions_and_asks_no_registry() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "old"})).await;
    world.service("weather", json!({"secrets": [secret]})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    world.event(session, "workload.ready").await;
    world.save_secret(secret, "s", json!({"A": "new"})).await;
    let asked = world.registry.requests().len();
    let world = world.stop().await.rebooted().start().await;
    let lost = world.until_state(session, "weather", "failed").await;
    assert_eq!(code(&lost), "workload_lost");
    let again = world.engine.started("weather", 1).await;
    assert_eq!((again.workload.attempt, again.variable("A")), (1, Some("old")));
    world.until_state(session, "weather", "ready").await;
    assert_eq!(world.registry.requests().len(), asked);
    world.end().await;
}

/// The server was killed after the engine had started something and before that was recorded.
#[tokio::test]
async fn a_start_that_was_not_recorded_is_adopted() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    let session = world.launch().await.id;
    let workload = world.until_state(session, "weather", "ready").await.id;
    world.event(session, "workload.ready").await;
    let stopped = world.stop().await;
    for state in [WorkloadState::Pending, WorkloadState::Exited { code: 1 }] {
        let mut tx = stopped.store.write("test").await.unwrap();
        let update =
            WorkloadUpdate { state: &state, image: None, attempt: 0, restarts: 0, exit_code: None, started_at: None };
        tx.save_workload(workload, &update).await.unwrap();
        tx.commit().await.unwrap();
    }
    let world = stopped.start().await;
    world.until_state(session, "weather", "ready").await;
    assert_eq!(world.engine.starts().len(), 1);
    world.end().await;
}

/// The server was killed after a launch was recorded and before anything was done for it.
#[tokio::test]
async fn a_launch_that_was_only_recorded_is_done() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    world.registry.becomes(Mood::Silent);
    let session = world.launch().await.id;
    let stopped = world.stop().await;
    assert!(stopped.engine.services().is_empty());
    stopped.registry.becomes(Mood::Good);
    let world = stopped.start().await;
    world.until_state(session, "weather", "ready").await;
    world.end().await;
}

#[tokio::test]
async fn what_an_ended_session_left_is_removed() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    let stopped = world.stop().await;
    let mut tx = stopped.store.write("test").await.unwrap();
    tx.end_session(session).await.unwrap();
    tx.commit().await.unwrap();
    let world = stopped.start().await;
    world.engine.until(|engine| engine.removed_sessions().contains(&session).then_some(())).await;
    assert!(world.engine.services().is_empty());
    let shown = world.session(session).await;
    assert_eq!(shown.workloads.unwrap()[0].state, "stopped");
    world.end().await;
}

#[tokio::test]
async fn what_rests_stays_at_rest() {
    let world = World::new().await;
    let mend = Refusal::new(RefusalKind::Invalid, "unknown_command", "there is no such command");
    world.engine.fail_next("weather", meshkeep_engine::EngineError::Rejected(mend));
    world.service("weather", json!({})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "failed").await;
    world.event(session, "workload.failed").await;
    let world = world.restarted().await;
    let failed = world.until_state(session, "weather", "failed").await;
    assert_eq!((code(&failed), failed.restart_at), ("unknown_command", None));
    assert!(world.engine.starts().is_empty());
    world.end().await;
}
