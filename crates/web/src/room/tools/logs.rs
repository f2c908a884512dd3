//! `containers.logs`: a container's log, a line at a time.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use meshkeep_control::Member;
use meshkeep_core::{
    Refusal,
    wire::payload::{Content, Payload},
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Answer, channel};
use crate::room::{
    call::{Call, Chunk, Input, Via},
    out::{Out, refused},
};

/// The log, until its end or until the reader ends it.
pub(super) async fn follow(member: &Member, call: &Call, mut input: mpsc::Receiver<Chunk>, out: &Out) -> Answer {
    match &call.via {
        Via::Tool { call: id, streams: true } => {
            out.reply(call.id, Content::Open).await;
            let told = match input.recv().await {
                Some(Chunk::Input(first)) => pump(member, &first, "container_id", input, To::Call(out, id)).await,
                _ => Err(Refusal::invalid("container_id", "is missing")),
            };
            if let Err(refusal) = told {
                out.chunk(id, refused(&refusal)).await;
            }
            out.chunk(id, Content::Close).await;
            Ok(None)
        }
        Via::Tool { .. } => Err(Refusal::invalid("arguments", "must open a stream")),
        Via::Message => {
            let id = call.input.text("request_id")?;
            pump(member, &call.input, "id", input, To::Request(out, id)).await?;
            Ok(Some(Content::Empty))
        }
    }
}

/// Where lines go.
enum To<'a> {
    Call(&'a Out, &'a str),
    Request(&'a Out, &'a str),
}

impl To<'_> {
    async fn tell(&self, line: &str) {
        match self {
            Self::Call(out, id) => {
                let data = line.as_bytes().to_vec().into();
                out.chunk(id, Content::Binary { headers: channel(1), data }).await;
            }
            Self::Request(out, id) => {
                out.event("containers.log.chunk", Payload::of(json!({"request_id": id, "log": line}))).await;
            }
        }
    }
}

/// Tells line after line. The reader's end stops it.
async fn pump(
    member: &Member,
    asked: &Input,
    container: &str,
    mut input: mpsc::Receiver<Chunk>,
    to: To<'_>,
) -> Result<(), Refusal> {
    let stop = CancellationToken::new();
    let lines = member.container_logs(asked.text(container)?, asked.is("follow"), stop.clone()).await?;
    let mut lines: BoxStream<'static, Result<Bytes, Refusal>> = lines;
    let mut takes_input = true;
    loop {
        tokio::select! {
            chunk = lines.next() => match chunk {
                None => return Ok(()),
                Some(chunk) => {
                    let text = String::from_utf8_lossy(&chunk?).into_owned();
                    for line in text.split_inclusive('\n') {
                        to.tell(line).await;
                    }
                }
            },
            more = input.recv(), if takes_input => match more {
                Some(Chunk::Close) => {
                    stop.cancel();
                    return Ok(());
                }
                Some(Chunk::Input(_)) => {}
                // Nobody can end it any more but by leaving.
                None => takes_input = false,
            },
        }
    }
}
