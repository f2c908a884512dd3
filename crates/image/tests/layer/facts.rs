//! What a directory tree shows, entry by entry, in a form that can be compared.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File, Metadata},
    io::Read as _,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::Path,
};

use rustix::fs::{lgetxattr, llistxattr};
use sha2::{Digest as _, Sha256};

/// Everything that is compared of one entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Fact {
    pub kind: char,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Of files; others have no size that means the same everywhere.
    pub size: u64,
    pub mtime: (i64, i64),
    pub device: u64,
    /// A link's target, or SHA-256 of a file's content.
    pub content: Vec<u8>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path of this inode, and how many names it says that it has (directories as well).
    pub same_as: Option<OsString>,
    pub links: u64,
}

impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, mode, uid, gid, size, mtime, device, content, xattrs, same_as, links } = self;
        let content = if *kind == 'l' { content.escape_ascii().to_string() } else { hex::encode(content) };
        write!(f, "{kind} {mode:04o} {uid}:{gid} {size} {mtime:?} {device:#x} {content} links {links} {same_as:?}")?;
        xattrs.iter().try_for_each(|(name, value)| write!(f, " {}={}", name.escape_ascii(), value.escape_ascii()))
    }
}

/// All entries below a root by path; the root itself is the empty path.
pub type Facts = BTreeMap<OsString, Fact>;

/// Reads a tree. Only attributes whose names `keep` are looked at.
pub fn read(root: &Path, keep: &[&str]) -> Facts {
    let (mut facts, mut inodes) = (Facts::new(), BTreeMap::new());
    let mut open = vec![OsString::new()];
    while let Some(at) = open.pop() {
        let path = root.join(&at);
        let metadata = if at.is_empty() { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        let metadata = metadata.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if metadata.is_dir() {
            let mut names: Vec<OsString> =
                fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            open.extend(names.into_iter().rev().map(|name| below(&at, &name)));
        }
        let first = inodes.entry(metadata.ino()).or_insert_with(|| at.clone());
        let same_as = (*first != at).then(|| first.clone());
        facts.insert(at, fact(&path, &metadata, keep, same_as));
    }
    facts
}

fn below(at: &OsStr, name: &OsStr) -> OsString {
    if at.is_empty() { name.to_owned() } else { OsString::from_vec([at.as_bytes(), b"/", name.as_bytes()].concat()) }
}

fn fact(path: &Path, metadata: &Metadata, keep: &[&str], same_as: Option<OsString>) -> Fact {
    let kind = metadata.file_type();
    let letters = [
        (kind.is_file(), 'f'),
        (kind.is_dir(), 'd'),
        (kind.is_symlink(), 'l'),
        (kind.is_char_device(), 'c'),
        (kind.is_block_device(), 'b'),
        (kind.is_fifo(), 'p'),
    ];
    let kind = letters.iter().find(|(is, _)| *is).map_or('?', |(_, letter)| *letter);
    Fact {
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        size: if kind == 'f' { metadata.len() } else { 0 },
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        device: if matches!(kind, 'c' | 'b') { metadata.rdev() } else { 0 },
        content: match kind {
            'f' => content(path),
            'l' => fs::read_link(path).unwrap().into_os_string().into_vec(),
            _ => Vec::new(),
        },
        xattrs: xattrs(path, kind == 'd' && metadata.is_dir(), keep),
        same_as,
        links: metadata.nlink(),
    }
}

/// SHA-256 of a file.
fn content(path: &Path) -> Vec<u8> {
    let (mut file, mut hash, mut buffer) = (File::open(path).unwrap(), Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hash.finalize().to_vec(),
            n => hash.update(&buffer[..n]),
        }
    }
}

fn xattrs(path: &Path, is_dir: bool, keep: &[&str]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    // The root is reached over a link, which a directory's own path never is.
    let path = if is_dir { path.join(".") } else { path.to_owned() };
    let mut names = vec![0; 65536];
    let length = llistxattr(&path, &mut names).unwrap();
    let kept = names[..length].split(|b| *b == 0).filter(|name| keep.iter().any(|k| name.starts_with(k.as_bytes())));
    kept.filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 65536];
            let length = lgetxattr(&path, OsStr::from_bytes(name), &mut value).unwrap();
            (name.to_vec(), value[..length].to_vec())
        })
        .collect()
}

/// Fails with the first differences when two trees differ in what `alike` leaves of their entries.
pub fn assert_same(what: &str, left: &Facts, right: &Facts, alike: impl Fn(&OsStr, &mut Fact)) {
    let shown = |facts: &Facts| -> Facts {
        let mut facts = facts.clone();
        facts.iter_mut().for_each(|(path, fact)| alike(path, fact));
        facts
    };
    let (left, right) = (shown(left), shown(right));
    let paths: std::collections::BTreeSet<&OsString> = left.keys().chain(right.keys()).collect();
    let mut differences: Vec<String> = paths
        .into_iter()
        .filter(|path| left.get(*path) != right.get(*path))
        .map(|path| format!("{path:?}\n   {:?}\n   {:?}", left.get(path), right.get(path)))
        .collect();
    let count = differences.len();
    differences.truncate(8);
    assert!(count == 0, "{what}: {count} differences\n{}", differences.join("\n"));
}
