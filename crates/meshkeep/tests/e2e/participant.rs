//! A participant of a room, as small as one can be.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use meshkeep_core::wire::{
    packet::{Assembler, packets},
    payload::Payload,
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message as Frame, protocol::CloseFrame},
};

use crate::server::Server;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Participant {
    pub id: String,
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    assembler: Assembler,
    next: u64,
}

/// A token for a room, as `connect` gives it.
pub fn token(server: &Server, room: &str) -> String {
    let connected = server.post(&format!("/rooms/{room}/connect"), &json!({}));
    connected["jwt"].as_str().expect("a token").to_owned()
}

impl Participant {
    /// Joined, and told so.
    pub async fn join(server: &Server, room: &str, token: &str) -> Self {
        let url = server.url().replace("http://", "ws://");
        let (socket, _) = connect_async(format!("{url}/rooms/{room}?token={token}")).await.expect("it may join");
        let mut joined = Self { id: String::new(), socket, assembler: Assembler::default(), next: 0 };
        while joined.id.is_empty() {
            let (kind, payload) = joined.hear().await;
            if kind == "connected" {
                joined.id = payload.header["participantId"].as_str().expect("an id").to_owned();
            }
        }
        joined
    }

    /// The next message: its type and what it holds.
    pub async fn hear(&mut self) -> (String, Payload) {
        loop {
            let frame = timeout(PATIENCE, self.socket.next()).await.expect("something comes");
            match frame.expect("it is open").expect("it is a frame") {
                Frame::Binary(packet) => {
                    if let Some(message) = self.assembler.push(&packet).expect("it is a packet") {
                        return (message.kind, Payload::unpack(&message.data).expect("it is a payload"));
                    }
                }
                Frame::Close(close) => panic!("it was closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// Sends a request without waiting for its answer.
    pub async fn say(&mut self, kind: &str, header: Value) {
        self.next += 1;
        for packet in packets(self.next, kind, &Payload::of(header).pack()) {
            self.socket.feed(Frame::Binary(packet.into())).await.expect("it can be sent");
        }
        self.socket.flush().await.expect("it can be sent");
    }

    /// Sends a request; the header of its answer.
    pub async fn ask(&mut self, kind: &str, header: Value) -> Value {
        self.say(kind, header).await;
        loop {
            let (kind, payload) = self.hear().await;
            if kind == "__response__" {
                return Value::Object(payload.header);
            }
        }
    }

    /// The next event of messaging with this type; its message.
    pub async fn told(&mut self, of: &str) -> Value {
        loop {
            let (kind, payload) = self.hear().await;
            if kind == "messaging.send" && payload.header["type"] == of {
                return payload.header["message"].clone();
            }
        }
    }

    /// Why the server closes the connection.
    pub async fn closed(&mut self) -> CloseFrame {
        loop {
            let frame = timeout(PATIENCE, self.socket.next()).await.expect("it ends");
            match frame {
                Some(Ok(Frame::Close(Some(why)))) => return why,
                Some(Ok(_)) => {}
                other => panic!("it ended without a word: {other:?}"),
            }
        }
    }
}
