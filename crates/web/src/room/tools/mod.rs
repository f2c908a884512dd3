//! What participants may ask for, by toolkit. What this server does not offer is refused by name.

mod containers;
mod developer;
mod exec;
mod logs;
mod messaging;
mod secrets;
mod services;

use std::sync::Arc;

use meshkeep_control::Member;
use meshkeep_core::{Refusal, RefusalKind, wire::payload::Content};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{
    call::{Call, Chunk, Via},
    out::Out,
};

/// An answer; none when it was given already, to a call that streams.
pub(super) type Answer = Result<Option<Content>, Refusal>;

/// Whether a request that is no tool's call takes further input under its `request_id`.
pub(super) fn takes_input(call: &Call) -> bool {
    call.toolkit == "containers" && matches!(call.tool.as_str(), "exec" | "logs")
}

/// What takes no time is answered in the order it came.
pub(super) fn at_once(member: &Member, call: &Call) -> Option<Result<Content, Refusal>> {
    match (call.toolkit.as_str(), call.tool.as_str()) {
        ("messaging", _) => Some(messaging::answer(member, call)),
        ("developer", "logs") => None,
        ("developer", _) => Some(developer::answer(member, call)),
        ("room" | "agent", "list_toolkits") => Some(Ok(Content::Json(json!({"tools": {}})))),
        ("services" | "containers" | "secrets", _) => None,
        _ => Some(Err(not_offered(call))),
    }
}

/// What may take time.
pub(super) async fn answer(member: Arc<Member>, call: Call, input: mpsc::Receiver<Chunk>, out: Out) -> Answer {
    match (call.toolkit.as_str(), call.tool.as_str()) {
        ("services", _) => services::answer(&member, &call).await.map(Some),
        ("containers", "logs") => logs::follow(&member, &call, input, &out).await,
        ("containers", "exec") => exec::run(&member, &call, input, &out).await,
        ("containers", _) => containers::answer(&member, &call).await.map(Some),
        ("developer", "logs") => developer::follow(&member, &call, input, &out).await,
        ("secrets", _) => secrets::answer(&member, &call).await.map(Some),
        _ => Err(not_offered(&call)),
    }
}

/// In the protocol's own words: an operation that this server does not know, or does not offer.
fn not_offered(call: &Call) -> Refusal {
    let name =
        |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect::<String>();
    let message = format!("`{}.{}` is not offered by this server", name(&call.toolkit), name(&call.tool));
    Refusal::new(RefusalKind::Invalid, "not_offered", message)
        .hint("it offers services, containers, messaging, developer and secrets")
}

/// The headers of a part of a stream on this channel.
fn channel(number: i64) -> Map<String, Value> {
    Map::from_iter([("channel".to_owned(), json!(number))])
}

impl Call {
    /// Whether it was made as a tool's call, whose shapes differ in places.
    fn is_tool(&self) -> bool {
        matches!(self.via, Via::Tool { .. })
    }
}
