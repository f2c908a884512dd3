//! `messaging.*`

use meshkeep_control::Member;
use meshkeep_core::{Refusal, wire::payload::Content};
use serde_json::{Value, json};

use super::not_offered;
use crate::room::call::{Call, Input};

/// All of them are at once.
pub(super) fn answer(member: &Member, call: &Call) -> Result<Content, Refusal> {
    let input = &call.input;
    match call.tool.as_str() {
        "enable" => member.enable_messaging()?,
        "disable" => member.disable_messaging(),
        "send" => {
            let (kind, message, attachment) = said(input)?;
            member.send_message(input.text("to_participant_id")?, kind, message, &attachment)?;
        }
        "broadcast" => {
            let (kind, message, attachment) = said(input)?;
            member.broadcast_message(kind, message, &attachment)?;
        }
        _ => return Err(not_offered(call)),
    }
    Ok(Content::Empty)
}

/// Type, message and attachment: as they are, or, by a tool's call, as texts of JSON and base64.
fn said(input: &Input) -> Result<(&str, Value, Vec<u8>), Refusal> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let kind = input.text("type")?;
    let message = match input.maybe_text("message_json") {
        Some(text) => serde_json::from_str(text).map_err(|_| Refusal::invalid("message_json", "is not JSON"))?,
        None => input.header.get("message").cloned().unwrap_or_else(|| json!({})),
    };
    let attachment = match input.maybe_text("attachment_base64") {
        Some(text) => STANDARD.decode(text).map_err(|_| Refusal::invalid("attachment_base64", "is not base64"))?,
        None => input.data.to_vec(),
    };
    Ok((kind, message, attachment))
}
