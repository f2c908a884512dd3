//! Reads an EROFS image as the kernel does, and is as strict as `fsck.erofs`: written from the format alone
//! (`fs/erofs/erofs_fs.h`), so that the writer's mistakes are not repeated.

use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt as _};

const MAGIC: [u8; 4] = [0xe2, 0xe1, 0xf5, 0xe0];
const SUPERBLOCK: usize = 1024;
const BLOCK: usize = 4096;
const SLOT: usize = 32;

/// Whether nothing could mount it.
pub(super) fn has_no_superblock(image: &File) -> bool {
    let mut magic = [0; 4];
    image.read_exact_at(&mut magic, SUPERBLOCK as u64).is_err() || magic != MAGIC
}

/// Walks the whole tree.
///
/// # Panics
/// When something in it is not sound.
pub(super) fn check(image: &[u8]) {
    assert!(image.len().is_multiple_of(BLOCK));
    assert_eq!(image[SUPERBLOCK..SUPERBLOCK + 4], MAGIC);
    let reader = Reader { image, meta: u32_at(image, SUPERBLOCK + 40) as usize * BLOCK };
    assert_eq!(u32_at(image, SUPERBLOCK + 36) as usize * BLOCK, image.len());
    let root = u64::from(u16_at(image, SUPERBLOCK + 14));
    let mut found = BTreeMap::new();
    reader.walk(root, root, 0, &mut found);
    for (number, names) in &found {
        let inode = reader.inode(*number);
        assert_eq!(inode.links, *names, "the links of inode {number}");
    }
    assert_eq!(u64_at(image, SUPERBLOCK + 16), found.len() as u64, "the number of inodes");
}

struct Reader<'a> {
    image: &'a [u8],
    meta: usize,
}

struct Inode<'a> {
    kind: u16,
    links: u32,
    content: &'a [u8],
}

impl<'a> Reader<'a> {
    fn inode(&self, number: u64) -> Inode<'a> {
        let at = self.meta + usize::try_from(number).expect("64 bits") * SLOT;
        let raw = &self.image[at..at + 64];
        let (format, mode, words) = (u16_at(raw, 0), u16_at(raw, 4), usize::from(u16_at(raw, 2)));
        assert!(format & 1 == 1 && [0, 2].contains(&(format >> 1)), "inodes of 64 bytes, plain or inline");
        let xattrs = if words == 0 { 0 } else { 12 + (words - 1) * 4 };
        check_xattrs(&self.image[at + 64..at + 64 + xattrs]);
        let kind = mode >> 12;
        let size = usize::try_from(u64_at(raw, 8)).expect("64 bits");
        let begin = match (format >> 1, kind) {
            (0, 4 | 8 | 10) => u32_at(raw, 16) as usize * BLOCK,
            (0, _) => 0,
            _ => at + 64 + xattrs,
        };
        let content = if matches!(kind, 4 | 8 | 10) { &self.image[begin..begin + size] } else { &[] };
        if format >> 1 == 2 {
            assert!(size > 0 && begin / BLOCK == (begin + size - 1) / BLOCK, "inline content crosses a block");
        } else if size > 0 {
            assert!(begin >= BLOCK, "content in the superblock");
        }
        assert!(u32_at(raw, 40) < 1_000_000_000, "nanoseconds");
        Inode { kind, links: u32_at(raw, 44), content }
    }

    /// Counts the names of each inode below `number`; a directory has its own `.` and its children's `..` as well.
    fn walk(&self, number: u64, parent: u64, depth: usize, found: &mut BTreeMap<u64, u32>) {
        assert!(depth < 64, "a loop of directories");
        assert_ne!(number, 0, "an inode of number 0");
        let before = found.insert(number, 2);
        assert!(before.is_none(), "a directory of two names");
        let directory = self.inode(number);
        assert_eq!(directory.kind, 4);
        let mut last: Option<&[u8]> = None;
        for block in directory.content.chunks(BLOCK) {
            for (name, child, kind) in entries(block) {
                assert!(last.is_none_or(|last| last < name), "names in their order");
                last = Some(name);
                assert!(!name.is_empty() && name.len() <= 255 && !name.contains(&b'/') && !name.contains(&0));
                match name {
                    b"." => assert_eq!((child, kind), (number, 2)),
                    b".." => assert_eq!((child, kind), (parent, 2)),
                    _ => self.child(number, child, kind, depth, found),
                }
            }
        }
    }

    fn child(&self, parent: u64, number: u64, kind: u8, depth: usize, found: &mut BTreeMap<u64, u32>) {
        let inode = self.inode(number);
        let stated = match kind {
            1 => 8,
            2 => 4,
            3 => 2,
            4 => 6,
            5 => 1,
            7 => 10,
            _ => panic!("a kind that is none: {kind}"),
        };
        assert_eq!(inode.kind, stated);
        if kind == 2 {
            *found.get_mut(&parent).expect("it was found") += 1;
            self.walk(number, parent, depth + 1, found);
        } else {
            *found.entry(number).or_default() += 1;
        }
        if kind == 7 {
            assert!((1..BLOCK).contains(&inode.content.len()), "a link's target");
        }
    }
}

/// Name, inode and kind of each entry of a directory's block.
fn entries(block: &[u8]) -> impl Iterator<Item = (&[u8], u64, u8)> {
    let first = usize::from(u16_at(block, 8));
    assert!(first >= 12 && first.is_multiple_of(12) && first <= block.len());
    let count = first / 12;
    (0..count).map(move |at| {
        let begin = usize::from(u16_at(block, at * 12 + 8));
        let end = if at + 1 < count { usize::from(u16_at(block, at * 12 + 20)) } else { block.len() };
        let name = &block[begin..end];
        // The last name of a full block ends at a NUL.
        let name = name.split(|byte| *byte == 0).next().expect("there is a first part");
        (name, u64_at(block, at * 12), block[at * 12 + 10])
    })
}

/// Only `user.*`, file capabilities, and the mark of an opaque directory: nothing else speaks to overlayfs.
fn check_xattrs(bytes: &[u8]) {
    let mut rest = bytes.get(12..).unwrap_or_default();
    while !rest.is_empty() {
        let (name, value) = (usize::from(rest[0]), usize::from(u16_at(rest, 2)));
        let (text, data) = (&rest[4..4 + name], &rest[4 + name..4 + name + value]);
        let may_be = match rest[1] {
            1 => !text.is_empty(),
            4 => text == b"overlay.opaque" && data == b"y",
            6 => text == b"capability",
            _ => false,
        };
        assert!(may_be, "an attribute that does not belong there: {} {text:?}", rest[1]);
        rest = &rest[(4 + name + value).next_multiple_of(4)..];
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
