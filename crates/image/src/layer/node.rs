//! What the tree is made of: inodes, and what each of them is.

use std::collections::BTreeMap;

/// Index of an inode.
pub(super) type Ino = u32;
pub(super) const ROOT: Ino = 0;

/// An extended attribute as EROFS stores it: prefix number, name without prefix, value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Xattr {
    pub(super) prefix: u8,
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl Xattr {
    pub(super) const USER: u8 = 1;
    pub(super) const TRUSTED: u8 = 4;
    pub(super) const SECURITY: u8 = 6;

    /// Bytes that it takes in the image.
    pub(super) const fn stored_size(&self) -> usize {
        (4 + self.name.len() + self.value.len()).next_multiple_of(4)
    }
}

/// What an inode is.
#[derive(Debug)]
pub(super) enum Node {
    Directory {
        parent: Ino,
        children: BTreeMap<Box<[u8]>, Ino>,
        opaque: bool,
    },
    /// Data in blocks from this one on, or (short files) here.
    File {
        first_block: u32,
        inline: Option<Box<[u8]>>,
    },
    Symlink(Box<[u8]>),
    Character(u32),
    BlockDevice(u32),
    Fifo,
    /// Hides a lower layer's entry.
    Whiteout,
}

impl Node {
    /// An empty directory; where it is put says who its parent is.
    pub(super) const fn directory() -> Self {
        Self::Directory { parent: ROOT, children: BTreeMap::new(), opaque: false }
    }
}

/// Metadata of one inode.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) node: Node,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) mtime_nsec: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    pub(super) mode: u16,
    pub(super) xattrs: Box<[Xattr]>,
}

impl Inode {
    /// A directory that a path needs and no entry describes.
    pub(super) fn implied() -> Self {
        Self::new(Node::directory(), 0o755)
    }

    pub(super) fn new(node: Node, mode: u16) -> Self {
        Self { node, size: 0, mtime: 0, mtime_nsec: 0, uid: 0, gid: 0, links: 0, mode, xattrs: Box::default() }
    }
}
