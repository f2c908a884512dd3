//! A request of a participant, in whichever of the two ways it was made: as a message whose type is the operation, or as
//! the call of a tool (`room.invoke_tool`), which may stream both ways.

use meshkeep_core::{
    Refusal,
    wire::{packet::Message, payload::Payload},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

use crate::extract::fit;

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    /// Its number; the answer's too.
    pub(super) id: u64,
    /// Such as `containers`.
    pub(super) toolkit: String,
    /// Such as `logs`.
    pub(super) tool: String,
    /// How it was made.
    pub(super) via: Via,
    /// What it says.
    pub(super) input: Input,
}

/// How a request was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// As a message of its own.
    Message,
    /// As a tool's call of this id, with a stream of input when it says so.
    Tool { call: String, streams: bool },
}

/// An object and bytes. Not printed: it may hold a secret's value.
#[derive(Default)]
pub(super) struct Input {
    pub(super) header: Map<String, Value>,
    pub(super) data: Zeroizing<Vec<u8>>,
    /// Its part of what one connection may have under way, until it is dropped.
    held: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[input]")
    }
}

impl Input {
    /// As what an operation takes; nothing that stood there is quoted in a refusal.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        fit::value(Value::Object(self.header.clone()))
    }

    /// A text that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&str, Refusal> {
        self.header.get(name).and_then(Value::as_str).ok_or_else(|| Refusal::invalid(name, "must be a text"))
    }

    /// A text that may be there.
    pub(super) fn maybe_text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// Whether it is true.
    pub(super) fn is(&self, name: &str) -> bool {
        self.header.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn of(payload: Payload) -> Self {
        Self { header: payload.header, data: payload.data, held: None }
    }

    /// What a content holds: the object of JSON, the headers of bytes, a text as `text`.
    pub(super) fn of_content(mut content: Map<String, Value>, data: Zeroizing<Vec<u8>>) -> Self {
        let inner = match content.get("type").and_then(Value::as_str) {
            Some("json") => content.remove("json"),
            Some("binary") => content.remove("headers"),
            Some("text" | "file") => return Self { header: content, data, held: None },
            _ => None,
        };
        let header = if let Some(Value::Object(header)) = inner { header } else { Map::new() };
        Self { header, data, held: None }
    }
}

/// What a message is.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A request.
    Call(Call),
    /// More input for a call that streams.
    Chunk { id: u64, call: String, chunk: Chunk },
    /// Attributes of the participant; wants no answer.
    Attributes(Map<String, Value>),
    /// A request that cannot be understood.
    Bad { id: u64, refusal: Refusal },
}

impl Incoming {
    /// The same, which gives this back when it is dropped.
    pub(super) fn holding(mut self, held: OwnedSemaphorePermit) -> Self {
        match &mut self {
            Self::Call(Call { input, .. }) | Self::Chunk { chunk: Chunk::Input(input), .. } => input.held = Some(held),
            Self::Chunk { chunk: Chunk::Close, .. } | Self::Attributes(_) | Self::Bad { .. } => {}
        }
        self
    }
}

/// A part of a stream.
#[derive(Debug)]
pub(super) enum Chunk {
    Input(Input),
    /// Nothing more comes.
    Close,
}

/// Reads a message.
pub(super) fn read(message: Message) -> Incoming {
    let id = message.id;
    let Ok(payload) = Payload::unpack(&message.data) else {
        return Incoming::Bad { id, refusal: Refusal::invalid("message", "does not hold a JSON object and its bytes") };
    };
    match message.kind.as_str() {
        "set_attributes" => Incoming::Attributes(payload.header),
        "room.invoke_tool" | "agent.invoke_tool" => invoked(id, payload),
        "room.tool_call_request_chunk" | "agent.tool_call_request_chunk" => chunk(id, payload),
        "containers.container_input" => match payload.header.get("request_id").and_then(Value::as_str) {
            Some(call) => Incoming::Chunk { id, call: call.to_owned(), chunk: Chunk::Input(Input::of(payload)) },
            None => Incoming::Bad { id, refusal: Refusal::invalid("request_id", "must be a text") },
        },
        "containers.stop_exec" | "containers.stop_logs" => {
            let call = payload.header.get("request_id").and_then(Value::as_str).unwrap_or_default().to_owned();
            Incoming::Chunk { id, call, chunk: Chunk::Close }
        }
        kind => {
            let (toolkit, tool) = kind.split_once('.').unwrap_or((kind, ""));
            Incoming::Call(Call {
                id,
                toolkit: toolkit.to_owned(),
                tool: tool.to_owned(),
                via: Via::Message,
                input: Input::of(payload),
            })
        }
    }
}

fn invoked(id: u64, mut payload: Payload) -> Incoming {
    let text = |name: &str| payload.header.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (toolkit, tool, call) = (text("toolkit"), text("tool"), text("tool_call_id"));
    let arguments = match payload.header.remove("arguments") {
        Some(Value::Object(arguments)) => arguments,
        _ => Map::new(),
    };
    let is = |name: &str, value: &str| arguments.get(name).and_then(Value::as_str) == Some(value);
    let streams = is("type", "control") && is("method", "open");
    if streams && call.is_empty() {
        return Incoming::Bad { id, refusal: Refusal::invalid("tool_call_id", "is missing") };
    }
    let input = Input::of_content(arguments, payload.data);
    Incoming::Call(Call { id, toolkit, tool, via: Via::Tool { call, streams }, input })
}

fn chunk(id: u64, mut payload: Payload) -> Incoming {
    let call = payload.header.get("tool_call_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(Value::Object(chunk)) = payload.header.remove("chunk") else {
        return Incoming::Bad { id, refusal: Refusal::invalid("chunk", "must be an object") };
    };
    let chunk = match chunk.get("type").and_then(Value::as_str) {
        Some("control") => Chunk::Close,
        _ => Chunk::Input(Input::of_content(chunk, payload.data)),
    };
    Incoming::Chunk { id, call, chunk }
}
