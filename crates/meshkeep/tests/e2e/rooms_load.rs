//! Many participants at once, and one that is gone without a word. With `scripts/test --full` only.

use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::{
    participant::{Participant, token},
    process::is_full,
    server::Server,
};

const ROOMS: usize = 50;
const IN_EACH: usize = 4;
const MESSAGES: u64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_in_fifty_rooms_hear_all_in_order() {
    if !is_full() {
        return;
    }
    let server = Server::new();
    let mut joined = Vec::new();
    for room in 0..ROOMS {
        let name = format!("room-{room}");
        let token = token(&server, &name);
        for _ in 0..IN_EACH {
            joined.push((room, Participant::join(&server, &name, &token).await));
        }
    }
    let mut enabled = JoinSet::new();
    for (room, mut participant) in joined {
        enabled.spawn(async move {
            assert_eq!(participant.ask("messaging.enable", json!({})).await["type"], "empty");
            (room, participant)
        });
    }
    let joined = enabled.join_all().await;
    let began = Instant::now();
    let mut talking = JoinSet::new();
    for (room, participant) in joined {
        talking.spawn(talk(room, participant));
    }
    let heard: usize = talking.join_all().await.into_iter().sum();
    assert_eq!(heard, ROOMS * IN_EACH * (IN_EACH - 1) * MESSAGES as usize);
    println!("{heard} messages heard by {} participants in {:?}", ROOMS * IN_EACH, began.elapsed());
    server.end();
}

/// Says all its messages, while it hears those of the others in its room; how many it heard.
async fn talk(room: usize, mut participant: Participant) -> usize {
    let mut next = std::collections::BTreeMap::<String, u64>::new();
    let (mut said, mut answered, mut heard) = (0, 0, 0);
    while heard < (IN_EACH - 1) * MESSAGES as usize || answered < MESSAGES {
        if said < MESSAGES && said == answered {
            let message = json!({"type": "talk", "message": {"room": room, "number": said}});
            participant.say("messaging.broadcast", message).await;
            said += 1;
        }
        let (kind, payload) = participant.hear().await;
        if kind == "__response__" {
            assert_eq!(payload.header["type"], "empty", "{:?}", payload.header);
            answered += 1;
        } else if payload.header["type"] == "talk" {
            let message = &payload.header["message"];
            assert_eq!(message["room"], room, "it is of another room");
            let from = payload.header["from_participant_id"].as_str().expect("a sender").to_owned();
            let expected = next.entry(from).or_default();
            assert_eq!(message["number"], *expected, "one was lost, or overtook another");
            *expected += 1;
            heard += 1;
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_vanishes_is_noticed_within_a_minute() {
    if !is_full() {
        return;
    }
    let server = Server::new();
    let token = token(&server, "lobby");
    let mut stays = Participant::join(&server, "lobby", &token).await;
    let mut vanishes = Participant::join(&server, "lobby", &token).await;
    for one in [&mut stays, &mut vanishes] {
        assert_eq!(one.ask("messaging.enable", json!({})).await["type"], "empty");
    }
    // Its connection stays open and nothing comes from it any more, as when its machine has lost its network: it is not
    // read, so that not even a ping is answered.
    let gone = vanishes.id.clone();
    let began = Instant::now();
    let left = tokio::spawn(async move {
        loop {
            // A client that is there is heard from time to time.
            let told = tokio::time::timeout(Duration::from_secs(10), stays.told("participant.disabled")).await;
            match told {
                Ok(message) => return (message, stays),
                Err(_) => stays.socket.send(Frame::Ping(Vec::new().into())).await.expect("it is open"),
            }
        }
    });
    let (message, _stays) = left.await.unwrap();
    assert!(message.to_string().contains(&gone), "{message}");
    assert!(began.elapsed() < Duration::from_secs(60), "after {:?}", began.elapsed());
    println!("noticed after {:?}", began.elapsed());
    drop(vanishes);
    server.end();
}
