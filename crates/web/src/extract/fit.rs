//! From text to a type, with refusals that say where and why and never what stood there.
//!
//! Parsers like to quote what they did not expect; in a body that may be a secret. So messages are put together from
//! what is ours (the position, the member's path, what was expected), and a name that a client chose is repeated only
//! when it has the shape of an identifier.

use meshkeep_core::{Refusal, RefusalKind};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;

/// Reads JSON.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(refused("must be a JSON object", "", String::new()));
    }
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let member = member(error.path());
        refused(&json_reason(error.inner(), &member), &member, place(error.inner().line(), error.inner().column()))
    })?;
    parser.end().map_err(|error| refused("has text after its end", "", place(error.line(), error.column())))?;
    Ok(value)
}

/// Reads what is JSON already.
pub(crate) fn value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let member = member(error.path());
        refused(&data_reason(&error.inner().to_string()), &member, String::new())
    })
}

/// Reads YAML.
pub(crate) fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    serde_saphyr::from_str(text).map_err(|error| {
        let at = error.location().map(|at| (at.line(), at.column()));
        let place = at.map_or_else(String::new, |(line, column)| place(line, column));
        refused(&yaml_reason(error.without_snippet()), "", place)
    })
}

fn place(line: impl std::fmt::Display, column: impl std::fmt::Display) -> String {
    format!(" at line {line}, column {column}")
}

fn refused(reason: &str, member: &str, place: String) -> Refusal {
    let what = if member.is_empty() { "the body".to_owned() } else { format!("`{member}`") };
    Refusal::new(RefusalKind::Invalid, "malformed", format!("{what} {reason}{place}"))
}

/// The path of the member, as far as it is made of names fit to be shown.
fn member(path: &serde_path_to_error::Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(if is_identifier(key) { key } else { "(a name)" });
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

fn json_reason(error: &serde_json::Error, member: &str) -> String {
    match error.classify() {
        Category::Io | Category::Eof => "is not JSON: it ends too early".to_owned(),
        Category::Syntax if member.is_empty() => "is not JSON".to_owned(),
        Category::Syntax => "is not JSON here".to_owned(),
        Category::Data => data_reason(&error.to_string()),
    }
}

/// What serde says of data that does not fit, with everything left out that came from the data.
fn data_reason(message: &str) -> String {
    let message = message.rfind(" at line ").map_or(message, |end| &message[..end]);
    let quoted = |start: &str| message.strip_prefix(start)?.split('`').next().filter(|name| is_identifier(name));
    if message.starts_with("unknown field ") {
        return unknown_member(quoted("unknown field `"));
    }
    if let Some(name) = quoted("missing field `") {
        return format!("lacks the member `{name}`");
    }
    if let Some(name) = quoted("duplicate field `") {
        return format!("has the member `{name}` twice");
    }
    let quotes = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    if quotes.iter().any(|start| message.starts_with(start)) {
        // What is expected is ours and stands last.
        if let Some((_, expected)) = message.rsplit_once(", expected ") {
            return must_be(expected);
        }
    }
    "has a value that does not fit".to_owned()
}

fn yaml_reason(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error {
        Error::SerdeInvalidType { expected, .. }
        | Error::SerdeInvalidValue { expected, .. }
        | Error::SerdeInvalidLength { expected, .. } => must_be(expected),
        Error::SerdeUnknownVariant { expected, .. } => format!("does not fit: it must be {}", expected.join(" or ")),
        Error::SerdeUnknownField { field, .. } => {
            unknown_member(Some(field.as_str()).filter(|name| is_identifier(name)))
        }
        Error::SerdeMissingField { field, .. } => format!("lacks the member `{field}`"),
        Error::DuplicateMappingKey { key, .. } => match key.as_deref().filter(|name| is_identifier(name)) {
            Some(name) => format!("has the member `{name}` twice"),
            None => "has a member twice".to_owned(),
        },
        Error::InvalidScalar { ty, .. } => format!("does not fit: it must be {ty}"),
        Error::Unexpected { expected, .. } => format!("does not fit: it must be {expected}"),
        Error::Eof { .. } => "ends too early".to_owned(),
        Error::MultipleDocuments { .. } => "holds more than one document".to_owned(),
        Error::Message { msg, .. } => data_reason(msg),
        _ => "is not YAML that this server reads".to_owned(),
    }
}

/// `expected` is a type's own text; people know a structure as an object.
fn must_be(expected: &str) -> String {
    let expected = if expected.starts_with("struct ") { "an object" } else { expected };
    format!("does not fit: it must be {expected}")
}

fn unknown_member(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("has a member `{name}` that is not known"),
        None => "has a member that is not known".to_owned(),
    }
}

fn is_identifier(name: &str) -> bool {
    let head = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    head && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use meshkeep_core::{
        service::ServiceSpec,
        wire::{ApiKeyCreate, SecretPatch, SecretWrite},
    };

    use super::*;

    const PLANTED: &str = "hunter2-x";

    fn of<T: DeserializeOwned>(text: &str) -> String {
        json::<T>(text.as_bytes()).err().expect("it must be refused").message
    }

    #[test]
    fn says_where_and_why() {
        let at = |text: &str| of::<SecretWrite>(text);
        assert_eq!(at("{\"name\": }"), "`name` is not JSON here at line 1, column 10");
        assert_eq!(at("{\n \"name\": \"a\","), "the body is not JSON: it ends too early at line 2, column 13");
        assert_eq!(at(""), "the body is not JSON: it ends too early at line 1, column 0");
        assert_eq!(at(" []"), "the body must be a JSON object");
        assert!(
            of::<ServiceSpec>("{\"version\":\"v1\",\"kind\":\"Service\",\"metadata\":5}").contains("must be an object")
        );
        assert!(at("{\"name\":\"n\"}").contains("lacks the member `type`"));
        assert!(at("{\"name\":\"n\",\"name\":\"m\"}").contains("has the member `name` twice"));
        assert!(
            at("{\"name\":\"n\",\"type\":\"keys\",\"extra\":1}")
                .contains("`extra` has a member `extra` that is not known")
        );
        assert!(
            of::<ApiKeyCreate>("{\"name\":\"n\",\"role\":\"owner\"}")
                .contains("must be one of `member`, `developer`, `admin`")
        );
        assert!(of::<ApiKeyCreate>("{\"name\":\"n\"} x").contains("text after its end"));
    }

    #[test]
    fn never_quotes_what_stood_there() {
        let planted = [
            format!("\"{PLANTED}\""),
            format!("{{\"name\":\"n\",\"type\":\"keys\",\"data\":\"{PLANTED}\"}}"),
            format!("{{\"name\":\"n\",\"type\":\"keys\",\"data\":\"{PLANTED}, expected {PLANTED}\"}}"),
            format!("{{\"name\":\"n\",\"type\":\"keys\",\"data\":{{\"A\":[\"{PLANTED}\"]}}}}"),
            format!("{{\"name\":\"n\",\"type\":\"keys\",\"data\":{{\"{PLANTED}\":5}}}}"),
            format!("{{\"name\":\"n\",\"type\":[\"{PLANTED}\"]}}"),
            format!("{{\"name\":\"n\",\"{PLANTED}\":1}}"),
            format!("{{\"name\":\"n\",\"type\":\"keys\",\"data\":{{\"A\":\"{PLANTED}"),
            format!("{{\"name\":\"n\",\"type\":\"keys\",\"data\":{{\"A\":{PLANTED}}}}}"),
        ];
        for text in planted {
            let message = of::<SecretWrite>(&text);
            assert!(!message.contains("hunter2"), "{text} → {message}");
            assert!(!of::<SecretPatch>(&text).contains("hunter2"));
            assert!(!of::<ServiceSpec>(&text).contains("hunter2"));
        }
        assert!(!of::<SecretPatch>("{\"set\":{\"PIN\":48151623}}").contains("4815"), "numbers are values too");
    }

    #[test]
    fn yaml_neither() {
        let head = "version: v1\nkind: Service\nmetadata: {name: w}\n";
        let of = |tail: &str| yaml::<ServiceSpec>(&format!("{head}{tail}")).expect_err("refused").message;
        let list = of(&format!("container:\n  image: x\n  environment:\n  - name: A\n    value: [{PLANTED}]\n"));
        assert!(list.contains("line 8"), "{list}");
        for tail in [
            format!("container:\n  image: x\n  environment: {PLANTED}\n"),
            format!("container:\n  image: x\n  {PLANTED}: 1\n"),
            format!("container: {PLANTED}\n"),
            format!("ports:\n- num: {PLANTED}\n"),
            format!("ports:\n- num: 80\n  type: {PLANTED}\n"),
            format!("container: \"{PLANTED}\n"),
            format!("container: !{PLANTED} x\n"),
            format!("container: *{PLANTED}\n"),
            format!("{PLANTED}: 1\n{PLANTED}: 2\n"),
        ] {
            let message = of(&tail);
            assert!(!message.contains("hunter2"), "{tail} → {message}");
        }
        assert!(of("container: {image: x, comand: y}\n").contains("`comand`"));
        assert!(of("container: {image: x, image: y}\n").contains("twice"));
    }
}
