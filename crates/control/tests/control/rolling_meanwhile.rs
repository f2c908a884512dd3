//! What else happens while a rolling restart runs: askers that go away, crashes that a killed server did not record, edits.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

use meshkeep_control::Scope;
use meshkeep_core::{
    wire::{RestartOutcome, RestartState},
    workload::WorkloadState,
};
use meshkeep_store::WorkloadUpdate;
use serde_json::json;

use crate::{
    registry::Mood,
    rolling::{begin, ended, launched, never_ready, outcomes, read, ready},
    world::{PATIENCE, World},
};

/// What a future comes to, if that takes at most `polls`; else it is dropped where it then is.
async fn within<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(|context: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match work.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn an_asker_that_goes_away_leaves_none_that_nobody_goes_on_with() {
    let world = World::new().await;
    let service = world.service("weather", json!({})).await;
    // How far the store is at a given poll differs, so that is tried several times.
    for _ in 0..20 {
        for polls in 1.. {
            let answer = within(polls, begin(&world, service)).await;
            // Another writer comes after it: what it left in the middle is decided.
            world.store.write("test").await.unwrap().commit().await.unwrap();
            if read(&world, service).await.is_ok() {
                let left = ended(&world, service).await;
                assert_eq!(left.state, RestartState::Done, "dropped after {polls} polls");
            }
            // A conflict: one whose asker went away was begun after all.
            if answer.is_some() {
                break;
            }
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_restart_after_a_crash_that_a_killed_server_did_not_record_is_none_of_its_own() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "old"})).await;
    let service = world.service("weather", json!({"secrets": [secret]})).await;
    let sessions = launched(&world, &["a"]).await;
    ready(&world, &sessions).await;
    let before = world.recorded(sessions[0]).await;
    world.save_secret(secret, "s", json!({"A": "new"})).await;
    world.registry.becomes(Mood::Silent);
    begin(&world, service).await.unwrap();
    let asked = async {
        let mut changes = world.control.changes();
        loop {
            changes.mark_unchanged();
            if outcomes(&read(&world, service).await.unwrap()) == [("a", RestartOutcome::Restarting)] {
                break;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
    world.engine.exit_one(before.id, 1);
    world.engine.started("weather", 2).await;
    world.until_state(sessions[0], "weather", "ready").await;

    // As a server leaves it that is killed right after that start.
    let stopped = world.stop().await;
    let update = WorkloadUpdate {
        state: &WorkloadState::Exited { code: 1 },
        image: None,
        attempt: before.attempt,
        restarts: before.restarts,
        exit_code: Some(1),
        started_at: None,
    };
    let mut tx = stopped.store.write("test").await.unwrap();
    tx.save_workload(before.id, &update).await.unwrap();
    tx.commit().await.unwrap();
    let world = stopped.start().await;
    let recorded = async {
        let mut changes = world.control.changes();
        loop {
            changes.mark_unchanged();
            let workload = world.recorded(sessions[0]).await;
            if workload.attempt > before.attempt {
                return workload;
            }
            changes.changed().await.unwrap();
        }
    };
    let taken_over = tokio::time::timeout(PATIENCE, recorded).await.unwrap();
    assert_eq!((taken_over.attempt, taken_over.restarts), (before.attempt + 1, before.restarts + 1));

    let stopped = world.stop().await;
    stopped.registry.becomes(Mood::Good);
    let world = stopped.start().await;
    assert_eq!(outcomes(&ended(&world, service).await), [("a", RestartOutcome::Ready)]);
    let starts = world.engine.starts();
    assert_eq!((starts.len(), starts.last().unwrap().variable("A")), (3, Some("new")));
    world.end().await;
}

#[tokio::test]
async fn sessions_whose_turn_comes_after_an_edit_take_it() {
    let world = World::new().await;
    let service = never_ready(&world).await;
    launched(&world, &["a", "b"]).await;
    begin(&world, service).await.unwrap();
    let first = world.engine.started("weather", 3).await;
    let edited = world.spec("weather", json!({"environment": [{"name": "EDITED", "value": "yes"}]}));
    world.control.update_service(&world.admin, world.project, Scope::Project, service, edited).await.unwrap();
    world.engine.exit_one(first.workload.id, 0);
    let done = ended(&world, service).await;
    assert_eq!(outcomes(&done), [("a", RestartOutcome::Ready), ("b", RestartOutcome::Ready)]);
    let starts = world.engine.starts();
    assert_eq!((starts[2].variable("EDITED"), starts[3].variable("EDITED")), (None, Some("yes")));
    world.end().await;
}
