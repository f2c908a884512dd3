//! The image's second half, when the whole tree is known: inodes, then what stands in blocks of its own, then the
//! superblock.

use std::borrow::Cow;

use super::{
    BLOCK, Output,
    directory::{Names, kind},
    inode::{self, INODE, SLOT, Stored},
    output::block_of,
    superblock::Superblock,
};
use crate::layer::{
    LayerError,
    node::{Ino, Inode, Node, ROOT},
    tree::Tree,
};

/// Bytes left free before the root, so that no inode has the number 0, which directory readers take for a deleted one.
const BEFORE_ROOT: usize = 2 * SLOT;

/// Bytes left free behind the last inode: Debian 12's `fsck.erofs` reads the attributes of inodes that have none.
const BEHIND_LAST: usize = SLOT;

/// Writes everything that is not file data; answers the image's length.
pub(in crate::layer) fn finish(mut out: Output<'_>, tree: &Tree<'_>) -> Result<u64, LayerError> {
    out.align(BLOCK)?;
    let meta_block = block_of(out.position())?;
    let plan = Plan::new(tree);
    plan.write_inodes(&mut out)?;
    out.zeros(BEHIND_LAST as u64)?;
    out.align(BLOCK)?;
    for (ino, inode) in tree.live().filter(|(ino, inode)| !fits_inline(inode, content_size(*ino, inode))) {
        out.write(&plan.content(ino, inode))?;
        out.align(BLOCK)?;
    }
    let superblock = Superblock {
        root: u16::try_from(plan.numbers[ROOT as usize]).expect("the root is the first inode"),
        inodes: plan.count,
        blocks: block_of(out.position())?,
        meta_block,
        opaque_root: matches!(tree.inodes[ROOT as usize].node, Node::Directory { opaque: true, .. }),
    };
    out.finish(&superblock.encode())
}

/// Where each inode goes.
struct Plan<'t> {
    tree: &'t Tree<'t>,
    /// By index, counted in slots from the first metadata block; 0 for what is gone.
    numbers: Vec<u64>,
    bytes: u64,
    count: u64,
}

impl<'t> Plan<'t> {
    fn new(tree: &'t Tree<'t>) -> Self {
        let mut plan = Self { tree, numbers: vec![0; tree.inodes.len()], bytes: BEFORE_ROOT as u64, count: 0 };
        for (ino, inode) in tree.live() {
            let size = content_size(ino, inode);
            let inline = fits_inline(inode, size);
            let whole = (INODE + inode::xattrs_size(inode) + if inline { size } else { 0 }) as u64;
            // What is inline may not reach into the next block.
            if inline && plan.bytes % BLOCK as u64 + whole > BLOCK as u64 {
                plan.bytes = plan.bytes.next_multiple_of(BLOCK as u64);
            }
            plan.numbers[ino as usize] = plan.bytes / SLOT as u64;
            plan.bytes = (plan.bytes + whole).next_multiple_of(SLOT as u64);
            plan.count += 1;
        }
        plan.bytes += BEHIND_LAST as u64;
        plan
    }

    fn write_inodes(&self, out: &mut Output<'_>) -> Result<(), LayerError> {
        let begin = out.position();
        let mut next = (begin + self.bytes).next_multiple_of(BLOCK as u64);
        let mut bytes = Vec::new();
        for (ino, inode) in self.tree.live() {
            out.zeros(begin + self.numbers[ino as usize] * SLOT as u64 - out.position())?;
            let size = content_size(ino, inode);
            let inline = fits_inline(inode, size);
            let stored = Stored { size: size as u64, inline, word: 0, links: inode.links };
            let stored = match &inode.node {
                Node::File { first_block, inline: None } => Stored { size: inode.size, word: *first_block, ..stored },
                Node::Character(device) | Node::BlockDevice(device) => Stored { word: *device, ..stored },
                Node::Directory { children, .. } => {
                    Stored { word: block_of(next)?, links: self.directory_links(children.values()), ..stored }
                }
                Node::Symlink(_) | Node::File { .. } => Stored { word: block_of(next)?, ..stored },
                // A whiteout is the device 0:0.
                Node::Whiteout | Node::Fifo => stored,
            };
            if !inline {
                next += size.next_multiple_of(BLOCK) as u64;
            }
            bytes.clear();
            inode::encode(inode, stored, ino + 1, &mut bytes);
            if inline {
                bytes.extend_from_slice(&self.content(ino, inode));
            }
            out.write(&bytes)?;
        }
        Ok(())
    }

    /// The content that is kept in memory until now.
    fn content(&self, ino: Ino, inode: &'t Inode) -> Cow<'t, [u8]> {
        match &inode.node {
            Node::Directory { parent, children, .. } => {
                let known = |ino: Ino| (self.numbers[ino as usize], kind(&self.tree.inodes[ino as usize].node));
                Cow::Owned(Names::new(ino, *parent, children).encode(known))
            }
            Node::Symlink(data) | Node::File { inline: Some(data), .. } => Cow::Borrowed(data),
            _ => Cow::Borrowed(&[]),
        }
    }

    /// A directory's name in its parent, its own `.`, and `..` in each of its directories.
    fn directory_links<'i>(&self, children: impl Iterator<Item = &'i Ino>) -> u32 {
        let directories =
            children.filter(|ino| matches!(self.tree.inodes[**ino as usize].node, Node::Directory { .. }));
        2 + u32::try_from(directories.count()).expect("there are no more than inodes")
    }
}

/// Bytes of [`Plan::content`].
fn content_size(ino: Ino, inode: &Inode) -> usize {
    match &inode.node {
        Node::Directory { parent, children, .. } => Names::new(ino, *parent, children).size(),
        Node::Symlink(data) | Node::File { inline: Some(data), .. } => data.len(),
        _ => 0,
    }
}

/// Whether that content stands in one block with the inode, wherever the inode is.
fn fits_inline(inode: &Inode, size: usize) -> bool {
    size > 0 && INODE + inode::xattrs_size(inode) + size <= BLOCK - BEFORE_ROOT
}
