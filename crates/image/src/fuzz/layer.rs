//! Layers: whatever the bytes, the converter keeps its limits, and what it accepts is an image that the kernel can read.

use std::{fs::File, os::unix::fs::FileExt as _};

use sha2::{Digest as _, Sha256};

use super::erofs;
use crate::{
    Digest,
    layer::{Compression, Limits, convert},
};

/// Small, so that they are reached.
const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    max_ratio: 100,
    max_entries: 64,
    max_depth: 16,
    max_path: 512,
    max_header: 4096,
    max_metadata: 64 << 10,
    zstd_window_log: 16,
};

/// A layer's bytes behind one that says how they are read: `t` a tar whose headers get the checksums that they need,
/// `p` a tar as it is, `g` gzip, `z` Zstandard.
///
/// # Panics
/// When an image comes of it that is not sound.
pub fn layer(bytes: &[u8]) {
    let Some((kind, blob)) = bytes.split_first() else { return };
    let mended = if *kind == b't' { mend(blob) } else { Vec::new() };
    let (blob, compression) = match kind {
        b't' => (mended.as_slice(), Compression::None),
        b'p' => (blob, Compression::None),
        b'g' => (blob, Compression::Gzip),
        b'z' => (blob, Compression::Zstd),
        _ => return,
    };
    let out = File::from(rustix::fs::memfd_create("layer", rustix::fs::MemfdFlags::CLOEXEC).expect("there is memory"));
    let converted = match convert(blob, compression, &out, &LIMITS) {
        Ok(converted) => converted,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(erofs::has_no_superblock(&out), "a refused layer left an image");
            return;
        }
    };
    assert!(converted.entries <= LIMITS.max_entries && converted.uncompressed_bytes <= LIMITS.max_bytes);
    if compression == Compression::None {
        assert_eq!(converted.uncompressed_bytes, blob.len() as u64);
        assert_eq!(converted.diff_id, Digest::from_bytes(Sha256::digest(blob).into()));
    }
    let mut image = vec![0; usize::try_from(converted.image_bytes).expect("it is bounded")];
    assert_eq!(out.metadata().expect("it is open").len(), converted.image_bytes);
    out.read_exact_at(&mut image, 0).expect("it is in memory");
    erofs::check(&image);
}

/// The tar with a fitting checksum in each block that looks like a header: otherwise hardly any mutation got past it.
fn mend(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for block in tar.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}
