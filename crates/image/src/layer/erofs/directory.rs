//! Directories as EROFS keeps them: blocks of fixed entries with their names behind, all names in byte order.

use std::collections::BTreeMap;

use super::BLOCK;
use crate::layer::node::{Ino, Node};

const ENTRY: usize = 12;

/// Names of one directory in byte order, `.` and `..` among them.
pub(super) struct Names<'t>(Vec<(&'t [u8], Ino)>);

impl<'t> Names<'t> {
    pub(super) fn new(own: Ino, parent: Ino, children: &'t BTreeMap<Box<[u8]>, Ino>) -> Self {
        let mut names: Vec<(&[u8], Ino)> = Vec::with_capacity(children.len() + 2);
        names.extend(children.iter().map(|(name, ino)| (&**name, *ino)));
        for dots in [(&b"."[..], own), (b"..", parent)] {
            let at = names.partition_point(|(name, _)| *name < dots.0);
            names.insert(at, dots);
        }
        Self(names)
    }

    /// Names block by block, as many as fit.
    fn blocks(&self) -> impl Iterator<Item = &[(&'t [u8], Ino)]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let mut used = 0;
            let fits = rest.iter().take_while(|(name, _)| {
                used += ENTRY + name.len();
                used <= BLOCK
            });
            let (block, others) = rest.split_at(fits.count());
            rest = others;
            (!block.is_empty()).then_some(block)
        })
    }

    /// Bytes of the directory: whole blocks but the last.
    pub(super) fn size(&self) -> usize {
        let (mut blocks, mut last) = (0_usize, 0);
        for block in self.blocks() {
            blocks += 1;
            last = block.iter().map(|(name, _)| ENTRY + name.len()).sum();
        }
        blocks.saturating_sub(1) * BLOCK + last
    }

    /// The directory's bytes. `number` knows each inode's number and kind.
    pub(super) fn encode(&self, number: impl Fn(Ino) -> (u64, u8)) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        for block in self.blocks() {
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
            let mut name_at = ENTRY * block.len();
            for (name, ino) in block {
                let (nid, kind) = number(*ino);
                bytes.extend_from_slice(&nid.to_le_bytes());
                bytes.extend_from_slice(&u16::try_from(name_at).expect("it is within a block").to_le_bytes());
                bytes.extend_from_slice(&[kind, 0]);
                name_at += name.len();
            }
            for (name, _) in block {
                bytes.extend_from_slice(name);
            }
        }
        bytes
    }
}

/// The kind that a directory states of an inode (Linux's `FT_*`).
pub(super) const fn kind(node: &Node) -> u8 {
    match node {
        Node::File { .. } => 1,
        Node::Directory { .. } => 2,
        Node::Character(_) | Node::Whiteout => 3,
        Node::BlockDevice(_) => 4,
        Node::Fifo => 5,
        Node::Symlink(_) => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn children(names: impl IntoIterator<Item = Vec<u8>>) -> BTreeMap<Box<[u8]>, Ino> {
        names.into_iter().zip(2..).map(|(name, ino)| (name.into_boxed_slice(), ino)).collect()
    }

    #[test]
    fn dots_stand_where_byte_order_wants_them() {
        let children =
            children(["!", "-a", "a", ".", "..."].into_iter().filter(|n| *n != ".").map(|n| n.as_bytes().to_vec()));
        let names = Names::new(1, 0, &children);
        let order: Vec<&[u8]> = names.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(order, [&b"!"[..], b"-a", b".", b"..", b"...", b"a"]);
    }

    #[test]
    fn size_is_what_is_encoded_and_no_name_crosses_a_block() {
        for (count, length) in [(0, 1), (1, 255), (14, 255), (15, 255), (16, 255), (200, 8), (5000, 3), (341, 1)] {
            let children = children((0..count).map(|at| format!("{at:0length$}").into_bytes()));
            let names = Names::new(1, 0, &children);
            let bytes = names.encode(|ino| (u64::from(ino), 1));
            assert_eq!(bytes.len(), names.size(), "{count} of {length}");
            let mut seen = 0;
            for block in bytes.chunks(BLOCK) {
                let first = usize::from(u16::from_le_bytes([block[8], block[9]]));
                assert_eq!(first % ENTRY, 0);
                seen += first / ENTRY;
            }
            assert_eq!(seen, children.len() + 2);
        }
    }
}
