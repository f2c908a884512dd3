//! What goes to one participant: answers, events and parts of streams, one whole message after the other.

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket};
use bytes::Bytes;
use futures_util::{SinkExt as _, stream::SplitSink};
use meshkeep_control::RoomEvent;
use meshkeep_core::{
    Refusal, RefusalKind,
    wire::{
        packet::packets,
        payload::{Content, ErrorCode, Payload},
    },
};
use serde_json::json;
use tokio::sync::mpsc;

/// Messages that may wait to be written; who has more waits.
const WAITING: usize = 64;

/// The way to the participant. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Out(mpsc::Sender<Outgoing>);

#[derive(Debug)]
enum Outgoing {
    Reply(u64, Content),
    Event(&'static str, Payload),
    Ping,
    Close(u16, &'static str),
}

impl Out {
    /// Answers a request.
    pub(super) async fn reply(&self, id: u64, content: Content) {
        self.send(Outgoing::Reply(id, content)).await;
    }

    /// Tells something that no request asked for by its number.
    pub(super) async fn event(&self, kind: &'static str, payload: Payload) {
        self.send(Outgoing::Event(kind, payload)).await;
    }

    /// A part of what a tool's call streams.
    pub(super) async fn chunk(&self, call: &str, content: Content) {
        let Payload { header, data } = content.into_payload();
        let payload = Payload { data, ..Payload::of(json!({"tool_call_id": call, "chunk": header})) };
        self.event("room.tool_call_response_chunk", payload).await;
    }

    pub(super) async fn ping(&self) {
        self.send(Outgoing::Ping).await;
    }

    /// The last thing that is sent.
    pub(super) async fn close(&self, code: u16, why: &'static str) {
        self.send(Outgoing::Close(code, why)).await;
    }

    async fn send(&self, outgoing: Outgoing) {
        // The writer is gone only when the connection is.
        let _ = self.0.send(outgoing).await;
    }
}

/// The other end of an [`Out`].
pub(super) struct Writer {
    outgoing: mpsc::Receiver<Outgoing>,
    events: mpsc::Receiver<RoomEvent>,
    sink: SplitSink<WebSocket, Frame>,
    next: u64,
}

impl Writer {
    pub(super) fn new(sink: SplitSink<WebSocket, Frame>, events: mpsc::Receiver<RoomEvent>) -> (Out, Self) {
        let (sender, outgoing) = mpsc::channel(WAITING);
        (Out(sender), Self { outgoing, events, sink, next: 0 })
    }

    /// Writes until it is told to close, or the connection is gone.
    pub(super) async fn run(mut self) {
        loop {
            let written = tokio::select! {
                outgoing = self.outgoing.recv() => match outgoing {
                    Some(Outgoing::Reply(id, content)) => self.message(id, "__response__", &content.into_payload().pack()).await,
                    Some(Outgoing::Event(kind, payload)) => self.numbered(kind, &payload.pack()).await,
                    Some(Outgoing::Ping) => self.sink.send(Frame::Ping(Bytes::new())).await,
                    Some(Outgoing::Close(code, why)) => {
                        let close = CloseFrame { code, reason: why.into() };
                        // It may be gone already; then there is nobody to tell.
                        let _ = self.sink.send(Frame::Close(Some(close))).await;
                        return;
                    }
                    None => return,
                },
                // What it takes of the inbox is free again when it is written.
                Some(event) = self.events.recv() => self.numbered(event.kind, &event.data).await,
            };
            if written.is_err() {
                return;
            }
        }
    }

    async fn numbered(&mut self, kind: &str, data: &[u8]) -> Result<(), axum::Error> {
        self.next += 1;
        self.message(self.next, kind, data).await
    }

    async fn message(&mut self, id: u64, kind: &str, data: &[u8]) -> Result<(), axum::Error> {
        for packet in packets(id, kind, data) {
            self.sink.feed(Frame::Binary(packet.into())).await?;
        }
        self.sink.flush().await
    }
}

/// A refusal in the protocol's own kind.
pub(super) fn refused(refusal: &Refusal) -> Content {
    let code = match (refusal.code.as_str(), refusal.kind) {
        ("container_not_found", _) => ErrorCode::ContainerNotFound,
        ("service_not_found", _) => ErrorCode::ServiceNotFound,
        (_, RefusalKind::Forbidden | RefusalKind::Unauthenticated) => ErrorCode::PermissionDenied,
        (_, RefusalKind::Invalid | RefusalKind::TooLarge) => ErrorCode::InvalidRequest,
        (_, RefusalKind::NotFound) => ErrorCode::NotFound,
        (_, RefusalKind::Conflict | RefusalKind::Stale) => ErrorCode::Conflict,
        (_, RefusalKind::Unavailable) => ErrorCode::InvalidState,
        (_, RefusalKind::Broken) => ErrorCode::OperationFailed,
    };
    if refusal.kind == RefusalKind::Broken {
        tracing::error!(code = refusal.code, why = %refusal, "a request in a room was refused");
    }
    Content::Error { text: refusal.to_string(), code }
}
