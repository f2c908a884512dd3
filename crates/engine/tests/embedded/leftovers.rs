//! What a server that was killed between two steps leaves, and that the next one removes it.

use std::{fs, time::Duration};

use libtest_mimic::Trial;
use meshkeep_engine::Engine as _;

use crate::place::{Place, trial};

pub fn trials() -> Vec<Trial> {
    vec![trial("the_network_of_a_session_without_workloads_goes", network)]
}

/// Killed after the session's last workload was removed and before its network was.
async fn network(place: &mut Place) {
    let networks = |place: &Place| fs::read_dir(place.config.root.join("networks")).unwrap().count();
    let workload = place.shell("web", "sleep 1000");
    place.start(&workload, &[]).await.unwrap();
    assert_eq!(networks(place), 1);
    place.reopened(place.config.clone()).await;
    assert_eq!(networks(place), 1, "a session with a workload keeps its network");
    place.engine.stop(workload.id, Duration::ZERO).await.unwrap();
    place.engine.remove(workload.id).await.unwrap();
    assert_eq!(networks(place), 1);
    place.reopened(place.config.clone()).await;
    assert_eq!(networks(place), 0);
    // A later start of the session gets one again.
    place.start(&workload, &[]).await.unwrap();
    assert_eq!(networks(place), 1);
}
