//! The EROFS image of a layer: what the kernel reads (`fs/erofs/erofs_fs.h`, Linux 6.1 and newer, no optional feature
//! but the superblock's checksum).
//!
//! ```text
//! block 0   superblock at byte 1024, written last
//! 1 …       data of files, each from a block's start, in the order of the tar
//! then      inodes, with their extended attributes and whatever is short: names, links, small files
//! then      directories and links that are too long to stand beside their inode
//! ```
//!
//! What must stay true: an image without a superblock is no image, so that nothing half written can be mounted. The root
//! is the first inode, for its number has 16 bits only.

mod directory;
mod inode;
mod metadata;
mod output;
mod superblock;

pub(super) use inode::MAX_XATTRS;
pub(super) use metadata::finish;
pub(super) use output::Output;
pub(super) use superblock::has_opaque_root;

/// Bytes of a block: the page size of the smallest machines, which every kernel takes.
pub(super) const BLOCK: usize = 4096;
