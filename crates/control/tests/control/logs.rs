//! Logs: the end of what is there, and what comes until the workload is gone.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use meshkeep_core::{
    Refusal,
    id::{ServiceId, SessionId},
};
use serde_json::json;

use crate::{registry::Mood, world::World};

type Lines = BoxStream<'static, Result<Bytes, Refusal>>;

async fn logs(world: &World, session: SessionId, service: ServiceId, tail: Option<usize>, follow: bool) -> Lines {
    world.control.service_logs(&world.admin, world.project, session, service, tail, follow).await.unwrap()
}

async fn text(lines: Lines) -> String {
    let lines: Vec<_> = lines.map(Result::unwrap).collect().await;
    String::from_utf8(lines.concat()).unwrap()
}

#[tokio::test]
async fn a_log_is_read_from_its_end_and_followed() {
    let world = World::new().await;
    let service = world.service("weather", json!({})).await;
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    for line in ["one", "two", "three"] {
        world.engine.write("weather", line);
    }
    assert_eq!(text(logs(&world, session, service, None, false).await).await, "one\ntwo\nthree\n");
    assert_eq!(text(logs(&world, session, service, Some(2), false).await).await, "two\nthree\n");
    let mut followed = logs(&world, session, service, Some(1), true).await;
    assert_eq!(followed.next().await.unwrap().unwrap(), "three\n");
    world.engine.write("weather", "four");
    assert_eq!(followed.next().await.unwrap().unwrap(), "four\n");
    world.terminate(session).await;
    assert!(followed.next().await.is_none(), "it ends with its session");
    assert_eq!(text(logs(&world, session, service, None, false).await).await, "");
    assert_eq!(text(logs(&world, session, service, None, true).await).await, "");
    world.end().await;
}

#[tokio::test]
async fn a_follower_waits_for_the_first_start() {
    let world = World::new().await;
    let service = world.service("weather", json!({})).await;
    world.registry.becomes(Mood::Down);
    let session = world.launch().await.id;
    world.until_state(session, "weather", "failed").await;
    assert_eq!(text(logs(&world, session, service, None, false).await).await, "");
    let mut followed = logs(&world, session, service, None, true).await;
    world.registry.becomes(Mood::Good);
    world.restart(session, service).await.unwrap();
    world.engine.started("weather", 1).await;
    world.engine.write("weather", "first line");
    assert_eq!(followed.next().await.unwrap().unwrap(), "first line\n");
    world.end().await;
}
