//! What must hold for everything that a service writes. `fuzz/` takes this folder and calls the function with mutated
//! bytes; the tests call it with the kept ones of `fuzz/corpus`.

use std::collections::BTreeSet;

use meshkeep_core::SecretText;

use super::{
    Redactor,
    forms::{self, SHORTEST},
};

/// Every byte in any occurrence of any pattern is replaced, also of one that the end cuts after six bytes or more;
/// neighbouring ones by one mark.
pub(crate) fn plainly(values: &[String], text: &[u8]) -> Vec<u8> {
    let patterns: BTreeSet<Vec<u8>> =
        values.iter().flat_map(|value| forms::of(value)).map(|form| form.to_vec()).collect();
    let mut covered = vec![false; text.len()];
    for pattern in &patterns {
        for length in SHORTEST..pattern.len() {
            if text.ends_with(&pattern[..length]) {
                covered[text.len() - length..].fill(true);
            }
        }
        for (start, window) in text.windows(pattern.len()).enumerate() {
            if window == pattern.as_slice() {
                covered[start..start + pattern.len()].fill(true);
            }
        }
    }
    let mut out = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        if !covered[at] {
            out.push(*byte);
        } else if at == 0 || !covered[at - 1] {
            out.extend_from_slice(b"[redacted]");
        }
    }
    out
}

/// The length of a piece, at most four values, each ended by a NUL, and what the service writes: the log shows what the
/// plain statement says.
///
/// # Panics
/// When it shows something else.
pub fn redactor(bytes: &[u8]) {
    let Some((piece, rest)) = bytes.split_first() else { return };
    // The plain statement takes the square of this.
    if rest.len() > 2048 {
        return;
    }
    let mut values: Vec<&[u8]> = rest.splitn(5, |byte| *byte == 0).collect();
    let text = values.pop().unwrap_or_default();
    let Ok(values) = values.into_iter().map(|value| String::from_utf8(value.to_vec())).collect::<Result<Vec<_>, _>>()
    else {
        return;
    };
    let mut redactor = Redactor::new(values.iter().map(|value| SecretText::from(value.as_str())));
    let mut out = Vec::new();
    for piece in text.chunks(usize::from(*piece) + 1) {
        redactor.push(piece, &mut out);
    }
    redactor.flush(&mut out);
    assert!(out == plainly(&values, text), "the log shows {:?}", String::from_utf8_lossy(&out));
}
