//! Rooms over their websocket, with participants that do not behave.

use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::{
    participant::{PATIENCE, Participant, token},
    process::text,
    server::Server,
};

/// A header packet: message, its place in it, how many follow, its type.
fn packet(message: u64, place: u32, count: u32, kind: &[u8]) -> Vec<u8> {
    let (message, place, count) = (message.to_be_bytes(), place.to_be_bytes(), count.to_be_bytes());
    [&message[..], &place, &count, kind].concat()
}

#[tokio::test]
async fn nonsense_ends_its_own_connection_and_no_other() {
    let server = Server::new();
    let token = token(&server, "lobby");
    let mut other = Participant::join(&server, "lobby", &token).await;
    let nonsense = [
        Frame::text("{\"type\":\"services.list\"}"),
        Frame::binary(vec![]),
        Frame::binary(vec![0; 15]),
        Frame::binary(packet(1, 7, 0, b"services.list")),
        Frame::binary(packet(1, 0, u32::MAX, b"services.list")),
        Frame::binary(packet(1, 0, 0, b"\xff\xfe")),
        Frame::binary(packet(1, 0, 0, &[b'a'; 900])),
    ];
    for frame in nonsense {
        let mut hostile = Participant::join(&server, "lobby", &token).await;
        hostile.socket.send(frame.clone()).await.unwrap();
        assert_eq!(u16::from(hostile.closed().await.code), 1002, "{frame:?}");
        assert_eq!(other.ask("services.list", json!({})).await["type"], "json", "after {frame:?}");
    }
    // A second message within the first.
    let mut hostile = Participant::join(&server, "lobby", &token).await;
    hostile.socket.send(Frame::binary(packet(1, 0, 2, b"services.list"))).await.unwrap();
    hostile.socket.send(Frame::binary(packet(2, 0, 0, b"services.list"))).await.unwrap();
    assert_eq!(u16::from(hostile.closed().await.code), 1002);
    // What is a message and no payload, or no request, is answered, and the connection goes on.
    let mut odd = Participant::join(&server, "lobby", &token).await;
    odd.socket.send(Frame::binary(packet(9, 0, 1, b"services.list"))).await.unwrap();
    let data = [&9_u64.to_be_bytes()[..], &1_u32.to_be_bytes(), b"no payload"].concat();
    odd.socket.send(Frame::binary(data)).await.unwrap();
    let (kind, payload) = odd.hear().await;
    assert_eq!((kind.as_str(), &payload.header["type"]), ("__response__", &json!("error")));
    let answer = odd.ask("no.such.thing", json!({})).await;
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(1002)));
    assert_eq!(odd.ask("services.list", json!({})).await["type"], "json");
    drop((odd, other));
    server.end();
}

#[tokio::test]
async fn one_that_does_not_read_holds_up_nobody() {
    const MESSAGES: u64 = 4000;
    let server = Server::new();
    let token = token(&server, "lobby");
    let mut speaker = Participant::join(&server, "lobby", &token).await;
    let mut reader = Participant::join(&server, "lobby", &token).await;
    let mut sleeper = Participant::join(&server, "lobby", &token).await;
    for one in [&mut speaker, &mut reader, &mut sleeper] {
        assert_eq!(one.ask("messaging.enable", json!({})).await["type"], "empty");
    }
    let before = memory(&server);
    let read = tokio::spawn(async move {
        for number in 0..MESSAGES {
            assert_eq!(reader.told("count").await["number"], number);
        }
        reader
    });
    let padding = "x".repeat(8 << 10);
    for number in 0..MESSAGES {
        let message = json!({"type": "count", "message": {"number": number, "padding": padding}});
        assert_eq!(speaker.ask("messaging.broadcast", message).await["type"], "empty");
    }
    let reader = read.await.unwrap();
    // What waits for the sleeper is bounded, and so is what waits for its answers.
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more for {MESSAGES} messages of 8 KiB");
    drop((speaker, reader, sleeper));
    server.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_asks_and_does_not_read_is_gone_with_its_session() {
    let server = Server::new();
    let token = token(&server, "lobby");
    let mut deaf = Participant::join(&server, "lobby", &token).await;
    let (asked, asks) = std::sync::mpsc::channel();
    let asking = tokio::spawn(async move {
        while deaf.socket.send(Frame::binary(packet(1, 0, 0, b"services.list"))).await.is_ok() {
            let _ = asked.send(());
        }
    });
    // Until the buffers of both sides are full.
    while asks.recv_timeout(Duration::from_secs(2)).is_ok() {}
    assert!(!asking.is_finished(), "it stands still, and is there");
    // Others are served meanwhile.
    let began = std::time::Instant::now();
    server.ok(&["service", "list"], "");
    assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
    server.ok(&["session", "terminate", "lobby"], "");
    tokio::time::timeout(PATIENCE, asking).await.expect("its connection is ended").unwrap();
    server.end();
}

#[test]
fn a_service_that_comes_late_is_found_by_name_by_those_that_are_there() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let waits =
        "until grep -qw late /etc/hosts; do sleep 0.1; done; echo found; trap \"exit 0\" TERM; sleep 1000 & wait";
    let common = format!("image: {image}\npull_secret: {pull}");
    server.service("early", &format!("{common}\ncommand: \"sh -c '{}'\"", waits.replace('"', "\\\"")));
    let session = server.launch("lobby");
    let late = json!({
        "version": "v1", "kind": "Service", "metadata": {"name": "late"}, "container": {"image": image, "command": "true"},
    });
    server.post("/rooms/lobby/services", &late);
    server.log_with(&session, "early", "found");
    server.end();
}

#[tokio::test]
async fn a_deleted_key_ends_what_it_signed() {
    let server = Server::new();
    let made = server.post("/api-keys", &json!({"name": "short-lived", "description": ""}));
    let key = made["value"].as_str().expect("a key").to_owned();
    let mut connect = server.command(&["key", "delete", made["id"].as_str().expect("an id")]);
    let token = {
        let config = format!(
            "url = \"{}/accounts/projects/{}/rooms/lobby/connect\"\nheader = \"Authorization: Bearer {key}\"\nrequest = POST\n",
            server.url(),
            server.project()
        );
        let output = crate::process::run(std::process::Command::new("curl").args(["-sSf", "-K", "-"]), &config);
        let connected: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an answer");
        connected["jwt"].as_str().expect("a token").to_owned()
    };
    let mut joined = Participant::join(&server, "lobby", &token).await;
    assert_eq!(joined.ask("services.list", json!({})).await["type"], "json");
    let deleted = crate::process::run(&mut connect, "");
    assert!(deleted.status.success(), "{}", text(&deleted.stderr));
    let why = joined.closed().await;
    assert_eq!((u16::from(why.code), why.reason.as_str()), (1008, "the key that signed the token was deleted"));
    server.end();
}

/// KiB that the server holds in memory.
fn memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
