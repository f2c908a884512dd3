//! All patterns of a workload, and how to find where one of them begins.
//!
//! A window of the six bytes that every pattern has goes over the input. A table says for the last two bytes of the
//! window how far it may move on without missing a beginning: mostly five bytes. Only where it may not move is anything
//! compared. So the tables stay at 64 KiB however long the values are, which automata do not.

use meshkeep_core::SecretText;
use zeroize::{Zeroize as _, Zeroizing};

use super::forms::{self, SHORTEST};

/// The sorted patterns of a workload. Wiped when dropped.
pub(super) struct Patterns {
    /// All patterns, one after the other.
    bytes: Zeroizing<Vec<u8>>,
    /// Where each pattern is in `bytes`, in lexicographic order of the patterns.
    places: Vec<(usize, usize)>,
    /// The first bytes of each pattern, in the same order.
    heads: Zeroizing<Vec<u64>>,
    /// For every two bytes, how far the window that ends with them may move.
    moves: Zeroizing<Vec<u8>>,
}

/// What begins at a position of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Length of the longest pattern that is there in full; 0 for none.
    pub full: usize,
    /// Whether a pattern goes on behind the input's end.
    pub unfinished: bool,
}

impl Patterns {
    /// The patterns of these values.
    pub fn new(values: impl IntoIterator<Item = SecretText>) -> Self {
        // "For the redactor": the plaintext becomes patterns, which are wiped as the values are.
        let mut found: Vec<forms::Form> = values.into_iter().flat_map(|value| forms::of(value.expose())).collect();
        found.sort_unstable_by(|one, other| one.as_slice().cmp(other));
        found.dedup_by(|one, other| one.as_slice() == other.as_slice());
        // In one piece from the start: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(found.iter().map(|form| form.len()).sum()));
        let mut places = Vec::with_capacity(found.len());
        let mut heads = Zeroizing::new(Vec::with_capacity(found.len()));
        let mut moves = Zeroizing::new(vec![(SHORTEST - 1) as u8; if found.is_empty() { 0 } else { 1 << 16 }]);
        for form in &found {
            places.push((bytes.len(), bytes.len() + form.len()));
            bytes.extend_from_slice(form);
            heads.push(head(form));
            for last in 1..SHORTEST {
                let entry = &mut moves[pair(form[last - 1], form[last])];
                *entry = (*entry).min((SHORTEST - 1 - last) as u8);
            }
        }
        Self { bytes, places, heads, moves }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The first position from `from` on at which a pattern may begin whose first bytes are all in `input`.
    pub fn candidate(&self, input: &[u8], from: usize) -> Option<usize> {
        let mut last = from + SHORTEST - 1;
        while last < input.len() {
            match self.moves[pair(input[last - 1], input[last])] {
                0 => return Some(last + 1 - SHORTEST),
                step => last += usize::from(step),
            }
        }
        None
    }

    /// What begins at the start of `rest`.
    pub fn begins(&self, rest: &[u8]) -> Beginning {
        if rest.len() < SHORTEST {
            return Beginning { full: 0, unfinished: self.continues(rest) };
        }
        let head = head(rest);
        let first = self.heads.partition_point(|other| *other < head);
        let mut beginning = Beginning::default();
        for index in first..self.heads.len() {
            if self.heads[index] != head {
                break;
            }
            let pattern = self.pattern(index);
            if rest.starts_with(pattern) {
                beginning.full = beginning.full.max(pattern.len());
            } else if pattern.len() > rest.len() && pattern.starts_with(rest) {
                beginning.unfinished = true;
            }
        }
        beginning
    }

    /// Whether fewer bytes than any pattern has may be the start of one.
    fn continues(&self, rest: &[u8]) -> bool {
        let first = self.places.partition_point(|&(start, end)| &self.bytes[start..end] < rest);
        first < self.places.len() && self.pattern(first).starts_with(rest)
    }

    fn pattern(&self, index: usize) -> &[u8] {
        let (start, end) = self.places[index];
        &self.bytes[start..end]
    }
}

impl Drop for Patterns {
    fn drop(&mut self) {
        self.places.zeroize();
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// The first six bytes as a number that sorts as they do.
fn head(bytes: &[u8]) -> u64 {
    bytes[..SHORTEST].iter().fold(0, |head, byte| head << 8 | u64::from(*byte))
}
