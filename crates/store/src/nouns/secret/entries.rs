//! Entries as bytes, and back.

use meshkeep_core::{SecretText, secret::Entries};
use zeroize::Zeroizing;

/// Entries as bytes: for each, name and value, each behind its length (32 bits, big-endian).
pub(super) fn encode(entries: &Entries) -> Zeroizing<Vec<u8>> {
    let size = entries.iter().map(|(name, value)| 8 + name.as_str().len() + value.len()).sum();
    // Made at its full size: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    for (name, value) in entries {
        for text in [name.as_str(), value.expose()] {
            let length = u32::try_from(text.len()).expect("values are bounded far below 4 GiB when they are saved");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

pub(super) fn decode(mut bytes: &[u8]) -> Option<Entries> {
    let mut entries = Entries::new();
    while !bytes.is_empty() {
        let mut next = || {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            bytes = rest;
            std::str::from_utf8(text).ok()
        };
        let name = next()?.parse().ok()?;
        entries.insert(name, SecretText::from(next()?));
    }
    Some(entries)
}
