//! The layer writer: one pass from a compressed tar to a read-only EROFS image that the kernel mounts.
//!
//! File data is appended in blocks while it streams; what must be known in full (inodes, directories) is kept compactly
//! in memory and written last, the superblock at the very end. Nothing from the layer is followed, opened or executed:
//! the tar is data, the image is data, and its path names exist nowhere on the host.
//!
//! Two differences to tools that unpack layers over one another (and none to those that unpack each on its own): an entry
//! whose parent is a symbolic link in a *lower* layer makes a directory that hides the link; the link is not followed.
//! Within one layer it is refused. And a directory that a path needs but no entry describes is root's with mode 0755,
//! whatever a lower layer says of it.

mod convert;
mod diff;
mod erofs;
mod error;
mod node;
mod pax;
mod sparse;
mod tar;
mod tree;

pub use convert::{Converted, convert};
pub use diff::Compression;
pub use error::LayerError;

/// Whether a layer's image hides all layers below it (an opaque whiteout in the tar's root). Overlayfs does not see that
/// by itself: whoever puts layers on one another leaves those below out.
///
/// # Errors
/// The image cannot be read.
pub fn hides_all_below(image: &std::path::Path) -> std::io::Result<bool> {
    erofs::has_opaque_root(&std::fs::File::open(image)?)
}

/// Bounds of one layer. A layer that exceeds one is refused by name; what was written is the caller's to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the uncompressed tar, and of the image that it becomes (sparse files count in full).
    pub max_bytes: u64,
    /// Uncompressed bytes per compressed byte, looked at beyond the first 64 MiB.
    pub max_ratio: u64,
    /// Entries. Each takes some 150 bytes of memory until the image is complete.
    pub max_entries: u64,
    /// Parts of a path.
    pub max_depth: usize,
    /// Bytes of a path or link target.
    pub max_path: usize,
    /// Bytes of one entry's extended header (PAX, long name).
    pub max_header: usize,
    /// Bytes of names, link targets and extended attributes of the whole layer, kept in memory.
    pub max_metadata: usize,
    /// Base-2 logarithm of the largest zstd window: memory that the compressor's author asks for.
    pub zstd_window_log: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 30,
            max_ratio: 1100,
            max_entries: 1_000_000,
            max_depth: 256,
            max_path: 4096,
            max_header: 1 << 20,
            max_metadata: 256 << 20,
            zstd_window_log: 23,
        }
    }
}
