//! Many at once: nobody gets another's values, and a room has one session whoever asks.

use futures_util::future::join_all;
use meshkeep_core::workload::SessionState;
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_start_together_get_their_own_values_only() {
    const SERVICES: usize = 40;
    let world = World::new().await;
    for n in 0..SERVICES {
        let data = json!({"SAME": format!("value of {n}"), format!("ONLY_{n}"): format!("only of {n}")});
        let secret = world.secret(&format!("s{n}"), data).await;
        world.service(&format!("w{n}"), json!({"secrets": [secret]})).await;
    }
    let session = world.launch().await.id;
    world.until(session, |session| session.state == SessionState::Ready).await;
    let starts = world.engine.starts();
    assert_eq!(starts.len(), SERVICES);
    for start in starts {
        let n: usize = start.workload.service_name.as_str()[1..].parse().unwrap();
        assert_eq!(start.variable("SAME"), Some(format!("value of {n}").as_str()));
        let only: Vec<_> = start
            .environment
            .0
            .iter()
            .filter(|v| v.name.as_str().starts_with("ONLY_"))
            .map(|v| v.value.expose())
            .collect();
        assert_eq!(only, [format!("only of {n}")]);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn launches_and_ends_that_meet_leave_one_session_or_none() {
    let world = World::new().await;
    let service = world.service("weather", json!({})).await;
    let ids: Vec<_> = join_all((0..20).map(|_| world.launch())).await.into_iter().map(|session| session.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    let all = world.control.list_sessions(&world.admin, world.project, false).await.unwrap();
    assert_eq!(all.sessions.len(), 1);
    world.until_state(ids[0], "weather", "ready").await;

    let restarts = join_all((0..5).map(|_| world.restart(ids[0], service)));
    let ends = join_all((0..5).map(|_| world.terminate(ids[0])));
    let (restarts, _) = tokio::join!(restarts, ends);
    for refusal in restarts.into_iter().filter_map(Result::err) {
        assert!(["session_over", "ending"].contains(&refusal.code.as_str()), "{refusal:?}");
    }
    assert!(world.engine.services().is_empty(), "a restart that came too late left nothing");
    world.end().await;
}

#[tokio::test]
async fn an_asker_that_goes_away_leaves_nothing_half_done() {
    let world = World::new().await;
    world.service("weather", json!({})).await;
    world.launch().await;
    world.control.terminate_all(&world.admin, world.project).await.unwrap();
    for polls in 0..12 {
        // Dropped after some polls: the client has closed its connection.
        let mut launch = Box::pin(world.launch());
        for _ in 0..polls {
            if futures_util::poll!(&mut launch).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(launch);
    }
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    world.terminate(session).await;
    assert!(world.engine.services().is_empty());
    world.end().await;
}
