//! The pass over a layer: each entry's data goes into the image as it comes, its metadata into the tree.

use std::{fs::File, io::Read};

use super::{
    Compression, LayerError, Limits,
    diff::DiffReader,
    erofs::{self, Output},
    node::{Inode, Node, Xattr},
    sparse::SparseMap,
    tar::{self, Entry, Kind, TarReader},
    tree::Tree,
};
use crate::Digest;

/// Files up to this size stand beside their inode, while [`INLINE_BUDGET`] lasts: a block of their own would be mostly
/// empty.
const INLINE: u64 = 2048;
/// Bytes of short files that are kept in memory until the inodes are written.
const INLINE_BUDGET: u64 = 8 << 20;
/// Linux has no longer targets of symbolic links.
const MAX_TARGET: usize = 4095;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// SHA-256 of the uncompressed tar.
    pub diff_id: Digest,
    /// Its bytes.
    pub uncompressed_bytes: u64,
    /// The image's bytes, holes included.
    pub image_bytes: u64,
    /// The tar's entries.
    pub entries: u64,
}

/// Reads a compressed layer to its end and writes it as an EROFS image into `out`, an empty file.
///
/// # Errors
/// See [`LayerError`]. What `out` then holds is no image: it has no superblock.
pub fn convert(
    blob: impl Read,
    compression: Compression,
    out: &File,
    limits: &Limits,
) -> Result<Converted, LayerError> {
    let diff = DiffReader::new(blob, compression, limits)?;
    let mut pass = Pass {
        tar: TarReader::new(diff, limits),
        out: Output::new(out, limits.max_bytes),
        inline_left: INLINE_BUDGET,
        scratch: vec![0; tar::BLOCK].into_boxed_slice(),
    };
    let mut tree = Tree::new(limits);
    while let Some(mut entry) = pass.tar.next()? {
        let inode = pass.inode(&mut entry)?;
        tree.insert(&entry, inode)?;
    }
    tree.drop_idle_whiteouts();
    let (diff_id, uncompressed_bytes) = pass.tar.diff.finish()?;
    let image_bytes = erofs::finish(pass.out, &tree)?;
    Ok(Converted { diff_id, uncompressed_bytes, image_bytes, entries: tree.entries() })
}

struct Pass<'a, R: Read> {
    tar: TarReader<'a, R>,
    out: Output<'a>,
    inline_left: u64,
    scratch: Box<[u8]>,
}

impl<R: Read> Pass<'_, R> {
    /// The entry as an inode, its data written or read; none for a hard link.
    fn inode(&mut self, entry: &mut Entry) -> Result<Option<Inode>, LayerError> {
        let refuse = |why| LayerError::entry(&entry.path, why);
        let node = match entry.kind {
            Kind::File => self.file(entry)?,
            Kind::HardLink => return Ok(None),
            Kind::Symlink if entry.link.is_empty() => return Err(refuse("it is a symbolic link to nothing")),
            Kind::Symlink if entry.link.len() > MAX_TARGET => return Err(refuse("its target is too long")),
            Kind::Symlink => Node::Symlink(std::mem::take(&mut entry.link).into_boxed_slice()),
            Kind::Character { major: 0, minor: 0 } => {
                return Err(refuse("it is the device 0:0, which would hide a file of another layer"));
            }
            Kind::Character { major, minor } => Node::Character(device(entry, major, minor)?),
            Kind::BlockDevice { major, minor } => Node::BlockDevice(device(entry, major, minor)?),
            Kind::Directory => {
                self.tar.diff.skip(entry.stored, &mut self.scratch)?;
                Node::directory()
            }
            Kind::Fifo => Node::Fifo,
        };
        self.tar.diff.skip(tar::padding(entry.stored) as u64, &mut self.scratch)?;
        // Linux shows every symbolic link with all permissions.
        let mode = if entry.kind == Kind::Symlink { 0o777 } else { entry.mode };
        let mut inode = Inode::new(node, mode);
        inode.size = entry.sparse.as_ref().map_or(entry.stored, |map| map.real_size);
        (inode.mtime, inode.mtime_nsec) = entry.mtime;
        inode.uid = owner(entry, entry.uid)?;
        inode.gid = owner(entry, entry.gid)?;
        inode.xattrs = xattrs(entry)?;
        Ok(Some(inode))
    }

    fn file(&mut self, entry: &Entry) -> Result<Node, LayerError> {
        if let Some(map) = &entry.sparse {
            return self.sparse_file(map);
        }
        if (1..=INLINE.min(self.inline_left)).contains(&entry.stored) {
            self.inline_left -= entry.stored;
            let mut data = vec![0; usize::try_from(entry.stored).expect("it is short")];
            self.tar.diff.read_exact(&mut data)?;
            return Ok(Node::File { first_block: 0, inline: Some(data.into_boxed_slice()) });
        }
        let first_block = self.out.block()?;
        self.stream(entry.stored)?;
        self.out.align(erofs::BLOCK)?;
        Ok(Node::File { first_block, inline: None })
    }

    fn sparse_file(&mut self, map: &SparseMap) -> Result<Node, LayerError> {
        let first_block = self.out.block()?;
        let mut at = 0;
        for (offset, length) in &map.parts {
            self.out.zeros(offset - at)?;
            self.stream(*length)?;
            at = offset + length;
        }
        self.out.zeros(map.real_size - at)?;
        self.out.align(erofs::BLOCK)?;
        Ok(Node::File { first_block, inline: None })
    }

    /// Moves data from the tar into the image: decompressed straight to where it is written from.
    fn stream(&mut self, mut bytes: u64) -> Result<(), LayerError> {
        while bytes > 0 {
            let space = self.out.space()?;
            let part = usize::try_from(bytes).map_or(space.len(), |bytes| bytes.min(space.len()));
            let read = self.tar.diff.read(&mut space[..part])?;
            if read == 0 {
                return Err(self.tar.diff.malformed("it ends in the middle of a file"));
            }
            self.out.advance(read);
            bytes -= read as u64;
        }
        Ok(())
    }
}

/// A device's number as Linux keeps it in inodes.
fn device(entry: &Entry, major: u32, minor: u32) -> Result<u32, LayerError> {
    if major >= 1 << 12 || minor >= 1 << 20 {
        return Err(LayerError::entry(&entry.path, "its device number is larger than Linux has"));
    }
    Ok((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

/// An owner's id. The largest number is none: the kernel takes it for "no change".
fn owner(entry: &Entry, id: u64) -> Result<u32, LayerError> {
    u32::try_from(id)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| LayerError::entry(&entry.path, "its owner's number has more than 32 bits"))
}

/// The attributes that are kept: `user.*` and file capabilities. Others would speak to the kernel in the host's name
/// (`trusted.overlay.*` forges whiteouts and redirects, `security.*` labels), so they are left out.
fn xattrs(entry: &mut Entry) -> Result<Box<[Xattr]>, LayerError> {
    let mut kept = Vec::new();
    for (name, value) in std::mem::take(&mut entry.xattrs) {
        let (prefix, rest) = match name.strip_prefix(b"user.") {
            Some(rest) => (Xattr::USER, rest),
            None if name == b"security.capability" => (Xattr::SECURITY, &b"capability"[..]),
            None => continue,
        };
        if rest.is_empty() || name.len() > 255 || rest.contains(&0) || value.len() > usize::from(u16::MAX) {
            return Err(LayerError::entry(&entry.path, "it has an extended attribute that Linux does not have"));
        }
        kept.push(Xattr { prefix, name: rest.to_vec(), value });
    }
    if kept.iter().map(Xattr::stored_size).sum::<usize>() > erofs::MAX_XATTRS {
        return Err(LayerError::entry(&entry.path, "its extended attributes are too long"));
    }
    Ok(kept.into_boxed_slice())
}
