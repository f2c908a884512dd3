//! Plaintext, said aloud, once: for members that hold a value on its way to who may have it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::{SecretText, name::EntryName};

pub(super) fn expose<S: Serializer>(text: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.expose())
}

#[expect(clippy::ref_option, reason = "serde's calling convention")]
pub(super) fn expose_option<S: Serializer>(text: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_ref().map(SecretText::expose).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde's calling convention")]
pub(super) fn expose_map<S: Serializer>(
    map: &Option<BTreeMap<String, SecretText>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match map {
        Some(map) => serializer.collect_map(map.iter().map(|(name, value)| (name, value.expose()))),
        None => serializer.serialize_none(),
    }
}

pub(super) fn expose_entries<S: Serializer>(
    map: &BTreeMap<EntryName, SecretText>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().map(|(name, value)| (name, value.expose())))
}
