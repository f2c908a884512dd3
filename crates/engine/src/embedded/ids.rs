//! Ranges of host ids for workloads' user namespaces: each has its own 65,536, nobody else's.

use std::collections::BTreeSet;

/// Ids in one range.
pub(super) const RANGE: u32 = 65_536;

/// Ranges that one engine hands out at most.
const MOST: u32 = 4_000;

/// Where ranges start when the operator says nothing: above what distributions give to users and nspawn, below 2³¹.
pub(super) const FIRST_ID: u32 = 1_879_048_192;

/// What is handed out.
#[derive(Debug)]
pub(super) struct Ranges {
    first: u32,
    taken: BTreeSet<u32>,
}

impl Ranges {
    /// From `first` on.
    pub(super) const fn new(first: u32) -> Self {
        Self { first, taken: BTreeSet::new() }
    }

    /// A range that nobody has; `None` when there are none left.
    pub(super) fn take(&mut self) -> Option<u32> {
        let bases = (0..MOST).map_while(|number| {
            let base = self.first.checked_add(number.checked_mul(RANGE)?)?;
            base.checked_add(RANGE).map(|_| base)
        });
        let base = bases.into_iter().find(|base| !self.taken.contains(base))?;
        self.taken.insert(base);
        Some(base)
    }

    /// Notes a range that a record says is taken.
    pub(super) fn keep(&mut self, base: u32) {
        self.taken.insert(base);
    }

    /// Gives one back.
    pub(super) fn release(&mut self, base: u32) {
        self.taken.remove(&base);
    }
}

/// The last id that workloads have when ranges start at `first`.
pub(super) fn last(first: u32) -> Option<u32> {
    first.checked_add(3 * RANGE)?;
    Some(first.saturating_add((MOST + 1).saturating_mul(RANGE)).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_have_the_same() {
        let mut ranges = Ranges::new(FIRST_ID);
        ranges.keep(FIRST_ID + RANGE);
        assert_eq!(ranges.take(), Some(FIRST_ID));
        assert_eq!(ranges.take(), Some(FIRST_ID + 2 * RANGE));
        ranges.release(FIRST_ID);
        assert_eq!(ranges.take(), Some(FIRST_ID));
        assert_eq!(std::iter::from_fn(|| ranges.take()).count(), MOST as usize - 3);
        assert_eq!(Ranges::new(u32::MAX - RANGE / 2).take(), None);
    }
}
