//! `containers.exec`: another process in a container, with its streams.

use futures_util::StreamExt as _;
use meshkeep_control::{Exec, ExecInput, ExecOutput, Member};
use meshkeep_core::{
    Refusal, RefusalKind, command_line,
    wire::payload::{Content, Payload},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Answer, channel};
use crate::room::{
    call::{Call, Chunk, Input, Via},
    out::{Out, refused},
};

/// Channels as both protocols number them.
const CONTROL: i64 = -1;
const STANDARD: i64 = 1;
const ERROR: i64 = 2;
const STATUS: i64 = 3;
const RESIZE: i64 = 4;
const KILL: i64 = 5;
const CLOSE_STDIN: i64 = 255;

/// Runs it to its end, or to the asker's.
pub(super) async fn run(member: &Member, call: &Call, mut input: mpsc::Receiver<Chunk>, out: &Out) -> Answer {
    match &call.via {
        Via::Tool { call: id, streams: true } => {
            out.reply(call.id, Content::Open).await;
            let to = To::Call(out, id);
            let ended = match input.recv().await {
                Some(Chunk::Input(first)) => converse(member, &first, input, &to).await,
                _ => Err(Refusal::invalid("container_id", "is missing")),
            };
            match ended {
                Ok(status) => to.tell(STATUS, json!({"status": status}).to_string().into_bytes()).await,
                Err(refusal) => out.chunk(id, refused(&refusal)).await,
            }
            out.chunk(id, Content::Close).await;
            Ok(None)
        }
        Via::Tool { .. } => Err(Refusal::invalid("arguments", "must open a stream")),
        Via::Message => {
            let to = To::Request(out, call.input.text("request_id")?);
            let status = converse(member, &call.input, input, &to).await?;
            Ok(Some(Content::Json(json!({"status": status}))))
        }
    }
}

/// Where output goes.
enum To<'a> {
    Call(&'a Out, &'a str),
    Request(&'a Out, &'a str),
}

impl To<'_> {
    async fn tell(&self, number: i64, data: Vec<u8>) {
        match self {
            // That it started is said by the stream's opening.
            Self::Call(..) if number == CONTROL => {}
            Self::Call(out, id) => {
                out.chunk(id, Content::Binary { headers: channel(number), data: data.into() }).await;
            }
            Self::Request(out, id) => {
                let header = json!({"request_id": id, "channel": number});
                out.event("containers.run.output", Payload::of(header).with(data)).await;
            }
        }
    }
}

async fn converse(
    member: &Member,
    asked: &Input,
    mut input: mpsc::Receiver<Chunk>,
    to: &To<'_>,
) -> Result<i32, Refusal> {
    let command = command(asked.header.get("command"))?;
    let exec = member.exec(asked.text("container_id")?, command, asked.is("tty")).await?;
    let Exec { input: process, mut output } = exec;
    let mut takes_input = true;
    loop {
        tokio::select! {
            said = output.next() => match said {
                Some(Ok(ExecOutput::Started)) => to.tell(CONTROL, json!({"started": true}).to_string().into_bytes()).await,
                Some(Ok(ExecOutput::Stdout(bytes))) => to.tell(STANDARD, bytes).await,
                Some(Ok(ExecOutput::Stderr(bytes))) => to.tell(ERROR, bytes).await,
                Some(Ok(ExecOutput::Exited(status))) => return Ok(status),
                Some(Err(refusal)) => return Err(refusal),
                None => return Err(lost()),
            },
            chunk = input.recv(), if takes_input => {
                let told = match chunk {
                    Some(Chunk::Input(chunk)) => meant(&chunk),
                    Some(Chunk::Close) => Some(ExecInput::Kill),
                    None => {
                        takes_input = false;
                        None
                    }
                };
                if let Some(told) = told && process.send(told).await.is_err() {
                    takes_input = false;
                }
            }
        }
    }
}

/// A line that is split as a shell splits it, or words; a shell when nothing is said.
fn command(asked: Option<&Value>) -> Result<Vec<String>, Refusal> {
    match asked {
        None | Some(Value::Null) => Ok(vec!["/bin/sh".to_owned()]),
        Some(Value::String(line)) => command_line::split(line).map_err(|why| Refusal::invalid("command", why)),
        Some(words) => serde_json::from_value(words.clone())
            .map_err(|_| Refusal::invalid("command", "must be a text or a list of texts")),
    }
}

/// What a piece of input means; nothing when it means nothing.
fn meant(chunk: &Input) -> Option<ExecInput> {
    let number = |name: &str| chunk.header.get(name).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    match chunk.header.get("channel").and_then(Value::as_i64)? {
        STANDARD => Some(ExecInput::Stdin(chunk.data.clone())),
        CLOSE_STDIN => Some(ExecInput::CloseStdin),
        RESIZE => Some(ExecInput::Resize { columns: number("width")?, rows: number("height")? }),
        KILL => Some(ExecInput::Kill),
        _ => None,
    }
}

fn lost() -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "exec_lost", "the container ended, or its supervisor was lost")
}
