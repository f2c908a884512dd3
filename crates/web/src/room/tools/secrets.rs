//! `secrets.*`: a participant's own secrets in the room. Not the project's.

use meshkeep_control::{Member, RoomSecretAsked};
use meshkeep_core::{Refusal, wire::payload::Content};
use serde_json::json;

use super::not_offered;
use crate::room::call::{Call, Input};

pub(super) async fn answer(member: &Member, call: &Call) -> Result<Content, Refusal> {
    let input = &call.input;
    Ok(match call.tool.as_str() {
        "list_secrets" => {
            let all = member.room_secrets().await?.into_iter().map(|secret| {
                let delegated_to = Some(secret.delegated_to).filter(|name| !name.is_empty());
                json!({"id": secret.id, "type": secret.kind, "name": secret.name, "delegated_to": delegated_to})
            });
            Content::Json(json!({"secrets": all.collect::<Vec<_>>()}))
        }
        "set_secret" => {
            member.set_room_secret(&asked(input)?, &call.input.data).await?;
            Content::Empty
        }
        "get_secret" => match member.room_secret(&asked(input)?).await? {
            // Out to the participant whose it is.
            Some((secret, data)) => Content::File { name: secret.name, mime_type: secret.kind, data },
            None => Content::Empty,
        },
        "exists" => Content::Json(json!({"exists": member.room_secret(&asked(input)?).await?.is_some()})),
        "delete_secret" => {
            member.delete_room_secret(input.text("id")?, input.maybe_text("delegated_to")).await?;
            Content::Empty
        }
        _ => return Err(not_offered(call)),
    })
}

fn asked(input: &Input) -> Result<RoomSecretAsked, Refusal> {
    input.read()
}
