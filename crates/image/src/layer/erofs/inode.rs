//! One inode as 64 bytes ("extended": 32-bit owners, its own time), and its extended attributes.

use crate::layer::node::{Inode, Node, Xattr};

/// Bytes of an inode.
pub(super) const INODE: usize = 64;
/// Inodes are numbered by slots of this many bytes.
pub(super) const SLOT: usize = 32;
const XATTR_HEADER: usize = 12;
/// Bytes of all extended attributes of one inode: their count of words has 16 bits.
pub(in crate::layer) const MAX_XATTRS: usize = XATTR_HEADER + 4 * (u16::MAX as usize - 1);

/// What overlayfs looks for on a directory that hides what lower layers have under its name.
fn opaque() -> Xattr {
    Xattr { prefix: Xattr::TRUSTED, name: b"overlay.opaque".to_vec(), value: b"y".to_vec() }
}

/// Bytes of the inode's extended attributes, 0 without any.
pub(super) fn xattrs_size(inode: &Inode) -> usize {
    let own = inode.xattrs.iter().map(Xattr::stored_size).sum::<usize>();
    match own + if is_opaque(inode) { opaque().stored_size() } else { 0 } {
        0 => 0,
        entries => XATTR_HEADER + entries,
    }
}

fn is_opaque(inode: &Inode) -> bool {
    matches!(inode.node, Node::Directory { opaque: true, .. })
}

/// What an inode says besides its metadata.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) size: u64,
    /// The content stands directly behind the inode and its attributes.
    pub(super) inline: bool,
    /// The content's first block when it does not; a device's number for devices.
    pub(super) word: u32,
    pub(super) links: u32,
}

/// Appends the inode and its extended attributes. `number` is shown where inode numbers have 32 bits.
pub(super) fn encode(inode: &Inode, stored: Stored, number: u32, bytes: &mut Vec<u8>) {
    let xattrs = xattrs_size(inode);
    let words = if xattrs == 0 { 0 } else { 1 + (xattrs - XATTR_HEADER) / 4 };
    // Bit 0: 64 bytes long; bits 1 to 3: 0 for whole blocks, 2 for content behind the inode.
    let format: u16 = if stored.inline { 1 | 2 << 1 } else { 1 };
    bytes.extend_from_slice(&format.to_le_bytes());
    bytes.extend_from_slice(&u16::try_from(words).expect("the converter bounds attributes").to_le_bytes());
    bytes.extend_from_slice(&(kind_bits(&inode.node) | inode.mode).to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&stored.size.to_le_bytes());
    for word in [stored.word, number, inode.uid, inode.gid] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&inode.mtime.to_le_bytes());
    for word in [inode.mtime_nsec, stored.links] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&[0; 16]);
    if xattrs > 0 {
        bytes.extend_from_slice(&[0; XATTR_HEADER]);
        let marker = is_opaque(inode).then(opaque);
        inode.xattrs.iter().chain(&marker).for_each(|xattr| encode_xattr(xattr, bytes));
    }
}

fn encode_xattr(xattr: &Xattr, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&[u8::try_from(xattr.name.len()).expect("the converter bounds names"), xattr.prefix]);
    bytes.extend_from_slice(&u16::try_from(xattr.value.len()).expect("the converter bounds values").to_le_bytes());
    bytes.extend_from_slice(&xattr.name);
    bytes.extend_from_slice(&xattr.value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

const fn kind_bits(node: &Node) -> u16 {
    match node {
        Node::Fifo => 0o010_000,
        Node::Character(_) | Node::Whiteout => 0o020_000,
        Node::Directory { .. } => 0o040_000,
        Node::BlockDevice(_) => 0o060_000,
        Node::File { .. } => 0o100_000,
        Node::Symlink(_) => 0o120_000,
    }
}
