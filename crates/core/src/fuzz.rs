//! What must hold for every text of a stranger that this crate reads. `fuzz/` calls these functions with mutated bytes,
//! the tests below with the kept ones of `fuzz/corpus`. A function panics when its statement does not hold.

use crate::{
    SecretText, dotenv,
    environment::check_entry,
    manifest::{self, Checked},
    service::ServiceSpec,
    template::{self, TemplateWrite},
    wire::{
        packet::{Assembler, MAX_FRAME, MAX_MESSAGE, MAX_TYPE, Message, packets},
        payload::Payload,
    },
};

/// `.env` text: what was read has unique names, and reads the same when it is written in double quotes.
///
/// # Panics
/// When it does not.
pub fn dotenv(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let lines = text.matches('\n').count() + 1;
    let entries = match dotenv::parse(text) {
        Ok(entries) => entries,
        Err(error) => {
            assert!((1..=lines).contains(&error.line), "the error is in line {} of {lines}", error.line);
            return;
        }
    };
    let mut written = String::new();
    for (at, entry) in entries.iter().enumerate() {
        assert!((1..=lines).contains(&entry.line));
        assert!(!entry.value.expose().contains('\0'));
        assert!(entries[..at].iter().all(|other| other.name != entry.name && other.line < entry.line));
        let escaped = entry.value.expose().replace('\\', "\\\\").replace('"', "\\\"");
        written.push_str(&format!("export {} = \"{escaped}\" # {}\n", entry.name, entry.line));
    }
    let again = dotenv::parse(&written).expect("what is written by the grammar is read");
    assert_eq!(entries.len(), again.len());
    for (one, other) in entries.iter().zip(&again) {
        assert_eq!(one.name, other.name);
        assert!(one.value.expose() == other.value.expose(), "the value of {} changed", one.name);
    }
}

/// A service's manifest: what is accepted is within its bounds, and means the same when it is read back from the store.
///
/// # Panics
/// When it does not.
pub fn service_yaml(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(spec) = manifest::from_yaml::<ServiceSpec>(text) else { return };
    let Ok(checked) = manifest::check(&spec) else { return };
    accepted(&spec, &checked);
    let stored = serde_json::to_string(&spec).expect("a manifest has only text keys");
    let spec: ServiceSpec = serde_json::from_str(&stored).expect("what is stored is read back");
    let again = manifest::check(&spec).expect("what is stored was accepted");
    accepted(&spec, &again);
    assert_eq!(meaning(&checked), meaning(&again));
}

/// Frames of the room protocol, each after its length in two bytes: what was put together from them is within its bounds,
/// travels again as it is, and so does the payload that it holds.
///
/// # Panics
/// When it does not.
pub fn packet(bytes: &[u8]) {
    let mut assembler = Assembler::default();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (frame, after) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
        rest = after;
        match assembler.push(frame) {
            Err(_) => return, // the connection ends
            Ok(None) => {}
            Ok(Some(message)) => travels(&message),
        }
    }
}

fn travels(message: &Message) {
    assert!(message.kind.len() <= MAX_TYPE && message.data.len() <= MAX_MESSAGE);
    let again = assembled(message.id, &message.kind, &message.data);
    assert!(again.id == message.id && again.kind == message.kind && again.data == message.data);
    let Ok(payload) = Payload::unpack(&message.data) else { return };
    let again = Payload::unpack(&payload.pack()).expect("what is packed is unpacked");
    assert!(again.header == payload.header && again.data == payload.data);
}

fn assembled(id: u64, kind: &str, data: &[u8]) -> Message {
    let mut assembler = Assembler::default();
    let mut last = None;
    for packet in packets(id, kind, data) {
        assert!(last.is_none() && packet.len() <= MAX_FRAME.max(16 + MAX_TYPE));
        last = assembler.push(&packet).expect("what is sent is read");
    }
    last.expect("the last packet completes it")
}

/// A service template: rendering ends, and what becomes of it shows no value of an obscure variable.
///
/// # Panics
/// When it does.
pub fn template(bytes: &[u8]) {
    const OBSCURE: &str = "planted-5f3a9c71";
    let Ok(text) = str::from_utf8(bytes) else { return };
    if text.contains(OBSCURE) {
        return;
    }
    let values = [("shown", "plain"), ("hidden", OBSCURE)];
    let values = values.map(|(name, value)| (name.to_owned(), SecretText::from(value))).into();
    let write = TemplateWrite { template: text.to_owned(), values };
    let spec = match template::render(&write) {
        Ok(spec) => spec,
        Err(refusal) => return assert!(!refusal.to_string().contains(OBSCURE), "an error shows a value"),
    };
    let is_obscure = spec.variables.iter().flatten().any(|variable| variable.name == "hidden" && variable.obscure);
    let mut service = template::into_service(spec);
    let sealed: Vec<String> = manifest::sealed_names(&service).map(str::to_owned).collect();
    if let Some(container) = &mut service.container {
        container.environment.retain(|entry| !sealed.contains(&entry.name));
    }
    let shown = serde_json::to_string(&service).expect("a manifest has only text keys");
    assert!(!is_obscure || !shown.contains(OBSCURE), "an obscure value is not sealed");
}

fn accepted(spec: &ServiceSpec, checked: &Checked) {
    assert!(spec.container.is_some() != spec.external.is_some());
    assert!(checked.memory_bytes.is_none_or(|bytes| bytes >= 4 << 20));
    assert!(checked.pids.is_none_or(|pids| (1..=32_768).contains(&pids)));
    assert!(checked.capabilities.iter().all(|one| manifest::KNOWN_CAPABILITIES.contains(one)));
    for (at, (name, value)) in checked.environment.iter().enumerate() {
        check_entry(name, value).expect("an accepted variable is one");
        assert!(checked.environment[..at].iter().all(|(other, _)| other != name));
    }
    for (at, id) in checked.secrets.iter().enumerate() {
        assert!(!checked.secrets[..at].contains(id));
    }
}

/// Everything that was understood, values in clear: they are a fuzzer's.
fn meaning(checked: &Checked) -> String {
    let values: Vec<&str> = checked.environment.iter().map(|(_, value)| value.expose()).collect();
    format!("{checked:?} {values:?}")
}

#[cfg(test)]
mod tests {
    /// The kept inputs of a target, of which there are some.
    fn replay(target: &str, body: fn(&[u8])) {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut inputs = 0;
        for file in std::fs::read_dir(dir).expect("the corpus is there") {
            body(&std::fs::read(file.expect("it is listed").path()).expect("it is a file"));
            inputs += 1;
        }
        assert!(inputs > 3, "the corpus of {target} is nearly empty");
    }

    #[test]
    fn dotenv() {
        replay("dotenv", super::dotenv);
    }

    #[test]
    fn packet() {
        replay("packet", super::packet);
    }

    #[test]
    fn template() {
        replay("template", super::template);
    }

    #[test]
    fn service_yaml() {
        replay("service_yaml", super::service_yaml);
    }
}
