//! `developer.*`: what is written here is told to those that read it now, and kept nowhere.

use meshkeep_control::Member;
use meshkeep_core::{Refusal, wire::payload::Content};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Answer, not_offered};
use crate::room::{
    call::{Call, Chunk, Via},
    out::Out,
};

/// Those that are at once.
pub(super) fn answer(member: &Member, call: &Call) -> Result<Content, Refusal> {
    let input = &call.input;
    match call.tool.as_str() {
        "watch" => member.watch_log(true)?,
        "unwatch" => member.watch_log(false)?,
        "log" => {
            let data = input.header.get("data").cloned().unwrap_or_else(|| json!({}));
            member.log(input.text("type")?, &data)?;
        }
        level @ ("info" | "warning" | "error") => {
            let extra = input.header.get("extra").cloned().unwrap_or(Value::Null);
            member.log(level, &json!({"message": input.text("message")?, "extra": extra}))?;
        }
        _ => return Err(not_offered(call)),
    }
    Ok(Content::Empty)
}

/// The log as a stream, until the reader ends it.
pub(super) async fn follow(member: &Member, call: &Call, mut input: mpsc::Receiver<Chunk>, out: &Out) -> Answer {
    let Via::Tool { call: id, streams: true } = &call.via else { return Err(not_offered(call)) };
    let mut lines = member.follow_log()?;
    out.reply(call.id, Content::Open).await;
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some((kind, data)) = line else { break };
                let headers = json!({"type": kind}).as_object().cloned().unwrap_or_default();
                let data = serde_json::to_vec(&data).unwrap_or_default().into();
                out.chunk(id, Content::Binary { headers, data }).await;
            }
            chunk = input.recv() => if matches!(chunk, None | Some(Chunk::Close)) { break },
        }
    }
    out.chunk(id, Content::Close).await;
    Ok(None)
}
