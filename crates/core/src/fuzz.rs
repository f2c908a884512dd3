//! What must hold for every text of a stranger that this crate reads. `fuzz/` calls these functions with mutated bytes,
//! the tests below with the kept ones of `fuzz/corpus`. A function panics when its statement does not hold.

use crate::{
    dotenv,
    environment::check_entry,
    manifest::{self, Checked},
    service::ServiceSpec,
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
    fn service_yaml() {
        replay("service_yaml", super::service_yaml);
    }
}
