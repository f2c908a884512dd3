//! What a message of the room protocol carries: a JSON header and raw bytes, and the contents that stand in them.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// The member that clients put into every header for their traces.
const TRACE: &str = "__meshagent__";

/// `header length: u64 | header | bytes`.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// A JSON object.
    pub header: Map<String, Value>,
    /// Raw bytes; may be a secret's value, and are wiped when dropped.
    pub data: Zeroizing<Vec<u8>>,
}

/// The data of a message is no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message does not hold a JSON object and its bytes")]
pub struct BadPayload;

impl Payload {
    /// One without bytes. Anything but an object is an empty header.
    #[must_use]
    pub fn of(header: Value) -> Self {
        let header = if let Value::Object(header) = header { header } else { Map::new() };
        Self { header, data: Zeroizing::default() }
    }

    /// The same with these bytes.
    #[must_use]
    pub fn with(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = Zeroizing::new(data.into());
        self
    }

    /// Reads a message's data; what clients add for their traces is left out.
    ///
    /// # Errors
    /// When it is none.
    pub fn unpack(bytes: &[u8]) -> Result<Self, BadPayload> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or(BadPayload)?;
        let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| BadPayload)?;
        let (header, data) = rest.split_at_checked(length).ok_or(BadPayload)?;
        let mut header: Map<String, Value> = serde_json::from_slice(header).map_err(|_| BadPayload)?;
        header.remove(TRACE);
        Ok(Self { header, data: Zeroizing::new(data.to_vec()) })
    }

    /// A message's data.
    #[must_use]
    pub fn pack(&self) -> Zeroizing<Vec<u8>> {
        let header = serde_json::to_vec(&self.header).expect("a map of text and JSON is JSON");
        let mut bytes = Zeroizing::new(Vec::with_capacity(8 + header.len() + self.data.len()));
        bytes.extend_from_slice(&(header.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.data);
        bytes
    }
}

/// What answers a request, or stands in a stream.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing to say.
    Empty,
    /// An object.
    Json(Value),
    /// Bytes under a name.
    File {
        /// Its name.
        name: String,
        /// Its media type.
        mime_type: String,
        /// The bytes.
        data: Zeroizing<Vec<u8>>,
    },
    /// Bytes with an object beside them.
    Binary {
        /// The object.
        headers: Map<String, Value>,
        /// The bytes.
        data: Zeroizing<Vec<u8>>,
    },
    /// A stream begins.
    Open,
    /// A stream ends.
    Close,
    /// It was refused.
    Error {
        /// Why, for a person.
        text: String,
        /// By kind, for a program.
        code: ErrorCode,
    },
}

impl Content {
    /// As a payload.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        match self {
            Self::Empty => Payload::of(json!({"type": "empty"})),
            Self::Json(value) => Payload::of(json!({"type": "json", "json": value})),
            Self::File { name, mime_type, data } => {
                Payload { data, ..Payload::of(json!({"type": "file", "name": name, "mime_type": mime_type})) }
            }
            Self::Binary { headers, data } => {
                Payload { data, ..Payload::of(json!({"type": "binary", "headers": headers})) }
            }
            Self::Open => Payload::of(json!({"type": "control", "method": "open"})),
            Self::Close => Payload::of(json!({"type": "control", "method": "close", "status_code": 1000})),
            Self::Error { text, code } => Payload::of(json!({"type": "error", "text": text, "code": code.number()})),
        }
    }
}

/// Refusals of the room protocol, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// Not with this token.
    PermissionDenied,
    /// The request is wrong.
    InvalidRequest,
    /// No such thing.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// It clashes with what is there.
    Conflict,
    /// Not now.
    InvalidState,
    /// It did not work.
    OperationFailed,
    /// It took too long.
    Timeout,
    /// No such container.
    ContainerNotFound,
    /// No such service.
    ServiceNotFound,
}

impl ErrorCode {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::PermissionDenied => 1001,
            Self::InvalidRequest => 1002,
            Self::NotFound => 1003,
            Self::AlreadyExists => 1004,
            Self::Conflict => 1005,
            Self::InvalidState => 1006,
            Self::OperationFailed => 1008,
            Self::Timeout => 1009,
            Self::ContainerNotFound => 6001,
            Self::ServiceNotFound => 7001,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_bytes_come_apart_where_they_were_joined() {
        let sent = Payload::of(json!({"a": 1, "__meshagent__": {"v": 1, "otel": {}}})).with(*b"\0\xff");
        let read = Payload::unpack(&sent.pack()).unwrap();
        assert_eq!((Value::Object(read.header), &read.data[..]), (json!({"a": 1}), &b"\0\xff"[..]));
        assert!(Payload::unpack(b"").unwrap().header.is_empty());
        for bad in [&b"short"[..], &[0xff; 9], b"\0\0\0\0\0\0\0\x02[]", b"\0\0\0\0\0\0\0\x09{}"] {
            assert_eq!(Payload::unpack(bad).map(drop), Err(BadPayload));
        }
    }

    /// `99999998E+99` is one that a reader in a hurry gets wrong by its last bit.
    #[test]
    fn a_number_passes_through_as_it_is() {
        for number in ["99999998E+99", "0.1", "-0.0", "1.7976931348623157e308", "5e-324", "18446744073709551615"] {
            let header = format!("{{\"n\":{number}}}");
            let sent = [&(header.len() as u64).to_be_bytes(), header.as_bytes()].concat();
            let value = Payload::unpack(&sent).unwrap().header["n"].as_f64().unwrap();
            assert_eq!(value.to_bits(), number.parse::<f64>().unwrap().to_bits(), "{number}");
        }
    }

    #[test]
    fn contents_have_the_clients_shapes() {
        let shape = |content: Content| Value::Object(content.into_payload().header);
        assert_eq!(shape(Content::Empty), json!({"type": "empty"}));
        assert_eq!(shape(Content::Close), json!({"type": "control", "method": "close", "status_code": 1000}));
        let error = Content::Error { text: "no".to_owned(), code: ErrorCode::PermissionDenied };
        assert_eq!(shape(error), json!({"type": "error", "text": "no", "code": 1001}));
    }
}
