//! Sparse entries: where in a file its stored bytes belong. Everything else of the file is zeros.

/// Stored parts of a file, in order: `(offset, length)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SparseMap {
    pub(super) parts: Vec<(u64, u64)>,
    pub(super) real_size: u64,
}

/// A map of more parts than this is an attack on memory.
const MAX_PARTS: usize = 1 << 16;

impl SparseMap {
    /// Checks that parts are in order, do not overlap, lie within the file, and that their sum is what is stored.
    pub(super) fn new(parts: Vec<(u64, u64)>, real_size: u64, stored: u64) -> Result<Self, &'static str> {
        if parts.len() > MAX_PARTS {
            return Err("a sparse file has too many parts");
        }
        let mut end = 0;
        let mut sum = 0_u64;
        for (offset, length) in &parts {
            if *offset < end {
                return Err("the parts of a sparse file overlap or are out of order");
            }
            end = offset.checked_add(*length).ok_or("a part of a sparse file has no end")?;
            sum += length;
        }
        if end > real_size || sum != stored {
            return Err("the parts of a sparse file do not fit its size");
        }
        Ok(Self { parts, real_size })
    }

    /// Pairs up numbers.
    pub(super) fn pairs(numbers: &[u64]) -> Result<Vec<(u64, u64)>, &'static str> {
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a sparse file's map has an odd number of numbers");
        }
        Ok(pairs.iter().map(|[offset, length]| (*offset, *length)).collect())
    }
}
