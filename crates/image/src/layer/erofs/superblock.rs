//! The superblock, and the checksum that lets the kernel refuse a damaged one.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::BLOCK;

const OFFSET: usize = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
const VOLUME_NAME: usize = 64;
/// The volume's name of a layer whose root is opaque.
const OPAQUE: &[u8; 16] = b"opaque root\0\0\0\0\0";
/// The checksum is there, and times are of modification.
const COMPATIBLE_FEATURES: u32 = 1 | 2;

/// What the superblock says.
#[derive(Debug)]
pub(super) struct Superblock {
    /// The root, counted in slots of 32 bytes from `meta_block` on.
    pub(super) root: u16,
    pub(super) inodes: u64,
    pub(super) blocks: u32,
    pub(super) meta_block: u32,
    /// Said in the volume's name, for overlayfs does not look for the mark on a layer's root.
    pub(super) opaque_root: bool,
}

impl Superblock {
    /// Block 0 as a whole. The same layer gives the same bytes: no time, no random id.
    pub(super) fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[OFFSET + at..OFFSET + at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(8, &COMPATIBLE_FEATURES.to_le_bytes());
        put(12, &[u8::try_from(BLOCK.ilog2()).expect("12")]);
        put(14, &self.root.to_le_bytes());
        put(16, &self.inodes.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(40, &self.meta_block.to_le_bytes());
        if self.opaque_root {
            put(VOLUME_NAME, OPAQUE);
        }
        let checksum = crc32c(&block[OFFSET..]);
        block[OFFSET + 4..OFFSET + 8].copy_from_slice(&checksum.to_le_bytes());
        block
    }
}

/// Whether an image that this writer made says that its root is opaque.
pub(in crate::layer) fn has_opaque_root(image: &File) -> io::Result<bool> {
    let mut name = [0; OPAQUE.len()];
    image.read_exact_at(&mut name, (OFFSET + VOLUME_NAME) as u64)?;
    Ok(name == *OPAQUE)
}

/// CRC-32C as the kernel keeps it: begun with all bits set, and not inverted at the end.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720, B.4: 32 bytes of zeros; and the well-known check value.
        assert_eq!(!crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }
}
