//! One connection of a participant: from the handshake to its end.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{
        FromRef as _, FromRequestParts as _, State,
        ws::{Message as Frame, WebSocket, WebSocketUpgrade},
    },
    response::Response,
};
use futures_util::{StreamExt as _, stream::SplitStream};
use http::{StatusCode, request::Parts};
use meshkeep_control::{Control, Inbox, Member, Origin};
use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    name::RoomName,
    wire::{
        packet::{Assembler, MAX_FRAME, Message},
        payload::{Content, Payload},
    },
};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    call::{self, Call, Chunk, Incoming, Via},
    out::{Out, Writer, refused},
    tools,
};
use crate::{
    edge::RequestContext,
    error::ApiError,
    extract::{At, Query, client_address},
    state::{Settings, WebState},
};

/// Between two looks at a connection.
const PACE: Duration = Duration::from_secs(5);
/// A connection of which nothing was heard for so long is asked whether it is there,
const QUIET: Duration = Duration::from_secs(20);
/// and one that was silent for so long is gone.
const GONE: Duration = Duration::from_secs(50);
/// Requests of one connection that may be under way.
const UNDER_WAY: usize = 128;
/// KiB that they may hold together; four of the largest messages.
const UNDER_WAY_KIB: u32 = 16 << 10;
/// How long the last words may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Parts of a stream of input that may wait.
const INPUT_WAITING: usize = 64;

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    token: SecretText,
}

/// `GET /rooms/{room}?token=…`: who it is and whether it may is known before the connection is upgraded.
pub(super) async fn connect(State(state): State<WebState>, mut parts: Parts) -> Result<Response, ApiError> {
    let (control, settings) = (Control::from_ref(&state), Settings::from_ref(&state));
    let At(room) = At::<RoomName>::from_request_parts(&mut parts, &state).await?;
    let Query(Asked { token }) = Query::<Asked>::from_request_parts(&mut parts, &state).await?;
    let context = parts.extensions.get::<RequestContext>().cloned().unwrap_or_default();
    let origin = Origin { address: client_address(&parts, &settings), request_id: context.id().to_owned() };
    // Only to verify it: it is kept nowhere.
    let participant = control.participant(token.expose(), &room, origin).await?;
    context.set_caller(participant.log_id());
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &state).await.map_err(|_| no_websocket())?;
    let (member, inbox) = control.join_room(participant).await?;
    let upgrade = upgrade.max_frame_size(MAX_FRAME).max_message_size(MAX_FRAME).write_buffer_size(0);
    Ok(upgrade.on_upgrade(move |socket| Conversation::run(socket, member, inbox, settings.stopping)))
}

fn no_websocket() -> ApiError {
    let message = "this path is a websocket";
    ApiError::with_status(StatusCode::UPGRADE_REQUIRED, "no_websocket", message)
        .hint("connect with a MeshAgent client, or with any websocket client")
}

fn too_many() -> Refusal {
    let message = format!("{UNDER_WAY} requests of this connection are under way, or {UNDER_WAY_KIB} KiB");
    Refusal::new(RefusalKind::Unavailable, "over_a_limit", message)
}

/// Why a connection ends.
enum End {
    /// The other side has left, or is gone.
    Left,
    /// It cannot be understood.
    Nonsense(&'static str),
    /// Its session is over, or it reads too slowly.
    Closed,
    /// The server stops.
    Stopping,
    /// What signed its token is not there any more.
    Revoked,
}

struct Conversation {
    member: Arc<Member>,
    out: Out,
    /// Each answers its request and says its number.
    tasks: JoinSet<u64>,
    /// Numbers of requests that are not answered; a client may give one number twice.
    under_way: BTreeSet<u64>,
    /// For what is under way, in KiB.
    room: Arc<Semaphore>,
    /// Calls that take more input, by their id.
    inputs: HashMap<String, mpsc::Sender<Chunk>>,
}

impl Conversation {
    async fn run(socket: WebSocket, member: Arc<Member>, inbox: Inbox, stopping: CancellationToken) {
        let (sink, stream) = socket.split();
        let Inbox { events, closed, seat } = inbox;
        let (out, writer) = Writer::new(sink, events);
        let mut writer = tokio::spawn(writer.run());
        let abort = writer.abort_handle();
        let mut conversation = Self {
            member,
            out,
            tasks: JoinSet::new(),
            under_way: BTreeSet::new(),
            room: Arc::new(Semaphore::new(UNDER_WAY_KIB as usize)),
            inputs: HashMap::new(),
        };
        conversation.greet().await;
        let end = tokio::select! {
            end = conversation.listen(stream, &closed, &stopping) => end,
            // It cannot be written to any more.
            _ = &mut writer => End::Left,
        };
        // Nobody sends to a participant that has left.
        drop(seat);
        let last_words = async {
            conversation.finish(&end).await;
            let _ = writer.await;
        };
        if !matches!(end, End::Left) {
            // Who does not read them by then does not want them.
            let _ = timeout(LAST_WORDS, last_words).await;
        }
        // It may wait for a reader that will never read.
        abort.abort();
    }

    async fn greet(&self) {
        let member = &self.member;
        let ready =
            json!({"room_name": member.room_name(), "room_url": member.room_url(), "session_id": member.session()});
        self.out.event("room_ready", Payload::of(ready)).await;
        let init = json!({"type": "init", "participantId": member.id(), "attributes": member.attributes()});
        self.out.event("connected", Payload::of(init)).await;
    }

    async fn listen(
        &mut self,
        mut stream: SplitStream<WebSocket>,
        closed: &CancellationToken,
        stopping: &CancellationToken,
    ) -> End {
        let mut assembler = Assembler::default();
        let mut heard = Instant::now();
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                frame = stream.next() => {
                    heard = Instant::now();
                    match frame {
                        Some(Ok(Frame::Binary(packet))) => match assembler.push(&packet) {
                            Ok(None) => {}
                            // What is answered to one that does not read waits; its end does not.
                            Ok(Some(message)) => tokio::select! {
                                () = self.message(message) => {}
                                () = closed.cancelled() => return End::Closed,
                                () = stopping.cancelled() => return End::Stopping,
                                () = sleep(GONE) => return End::Left,
                            },
                            Err(error) => {
                                tracing::debug!(%error, "a participant sent what is no packet");
                                return End::Nonsense("a frame was no packet of the room protocol");
                            }
                        },
                        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                        Some(Ok(Frame::Text(_))) => return End::Nonsense("frames must be binary"),
                        Some(Ok(Frame::Close(_)) | Err(_)) | None => return End::Left,
                    }
                }
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(id) => { self.under_way.remove(&id); }
                    Err(error) => tracing::error!(%error, "a request in a room broke"),
                },
                _ = pace.tick() => {
                    if heard.elapsed() > GONE {
                        return End::Left;
                    }
                    if heard.elapsed() > QUIET {
                        self.out.ping().await;
                    }
                    self.inputs.retain(|_, input| !input.is_closed());
                    if self.member.is_still_good().await.is_err_and(|refusal| refusal.kind == RefusalKind::Unauthenticated) {
                        return End::Revoked;
                    }
                }
                () = closed.cancelled() => return End::Closed,
                () = stopping.cancelled() => return End::Stopping,
            }
        }
    }

    async fn message(&mut self, message: Message) {
        let (id, kib) = (message.id, u32::try_from(message.data.len() >> 10).unwrap_or(u32::MAX).saturating_add(1));
        match Arc::clone(&self.room).try_acquire_many_owned(kib) {
            Ok(held) => self.take(call::read(message).holding(held)).await,
            Err(_) => self.out.reply(id, refused(&too_many())).await,
        }
    }

    async fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Call(call) => self.call(call).await,
            Incoming::Chunk { id, call, chunk } => self.chunk(id, &call, chunk).await,
            Incoming::Attributes(changed) => {
                if let Err(refusal) = self.member.set_attributes(changed) {
                    tracing::debug!(%refusal, "attributes of a participant were refused");
                }
            }
            Incoming::Bad { id, refusal } => self.out.reply(id, refused(&refusal)).await,
        }
    }

    async fn call(&mut self, call: Call) {
        let id = call.id;
        // In the order they came: a later message must not overtake an earlier one.
        if let Some(answer) = tools::at_once(&self.member, &call) {
            return self.out.reply(id, answer.unwrap_or_else(|refusal| refused(&refusal))).await;
        }
        if self.tasks.len() >= UNDER_WAY {
            return self.out.reply(id, refused(&too_many())).await;
        }
        let input = self.input_of(&call);
        self.under_way.insert(id);
        let (member, out) = (Arc::clone(&self.member), self.out.clone());
        self.tasks.spawn(async move {
            let answer = tools::answer(member, call, input, out.clone()).await;
            match answer {
                Ok(Some(content)) => out.reply(id, content).await,
                Ok(None) => {}
                Err(refusal) => out.reply(id, refused(&refusal)).await,
            }
            id
        });
    }

    /// Where more input for this call comes from, when it takes some.
    fn input_of(&mut self, call: &Call) -> mpsc::Receiver<Chunk> {
        let (sender, receiver) = mpsc::channel(INPUT_WAITING);
        let name = match &call.via {
            Via::Tool { call, streams: true } => Some(call.clone()),
            Via::Tool { .. } => None,
            Via::Message => call.input.maybe_text("request_id").filter(|_| tools::takes_input(call)).map(str::to_owned),
        };
        if let Some(name) = name {
            self.inputs.insert(name, sender);
        }
        receiver
    }

    async fn chunk(&mut self, id: u64, call: &str, chunk: Chunk) {
        let sent = match self.inputs.get(call) {
            None => Ok(()),
            Some(input) => input.try_send(chunk),
        };
        match sent {
            // What comes after the end of a call is let go.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => self.out.reply(id, Content::Empty).await,
            // The client waits for the answer before it sends the next part, so the order stays.
            Err(mpsc::error::TrySendError::Full(chunk)) => {
                let (Some(input), out) = (self.inputs.get(call).cloned(), self.out.clone()) else { return };
                if self.tasks.len() >= UNDER_WAY {
                    return self.out.reply(id, refused(&too_many())).await;
                }
                self.under_way.insert(id);
                self.tasks.spawn(async move {
                    let _ = input.send(chunk).await;
                    out.reply(id, Content::Empty).await;
                    id
                });
            }
        }
    }

    /// Answers what is still open, then closes.
    async fn finish(&mut self, end: &End) {
        let (code, why) = match end {
            End::Left => return,
            End::Nonsense(why) => (1002, *why),
            End::Closed => (1001, "the session is over, or its messages were not read"),
            End::Stopping => (1012, "the server stops"),
            End::Revoked => (1008, "the key that signed the token was deleted"),
        };
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok(id) = ended {
                self.under_way.remove(&id);
            }
        }
        let refusal = Refusal::new(RefusalKind::Unavailable, "connection_ends", why);
        for id in std::mem::take(&mut self.under_way) {
            self.out.reply(id, refused(&refusal)).await;
        }
        self.out.close(code, why).await;
    }
}
