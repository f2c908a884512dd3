//! Stored files into a tar, as they are while services may write to them: files, directories and links with their owners,
//! modes and times. What is none of these (a socket, a pipe, a device) is left out; what goes away meanwhile too.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use tar::{Builder, EntryType, Header};

/// Adds a file of ours.
pub(super) fn add_bytes(tar: &mut Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, name, bytes)
}

/// Adds everything below `from`, under the name `to`.
pub(super) fn add_tree(tar: &mut Builder<impl Write>, from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let (from, to) = (from.join(&name), to.join(&name));
        match add(tar, &from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            added => added?,
        }
    }
    Ok(())
}

fn add(tar: &mut Builder<impl Write>, from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    let mut header = header(&meta);
    if meta.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        tar.append_data(&mut header, to, io::empty())?;
        add_tree(tar, from, to)
    } else if meta.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, to, fs::read_link(from)?)
    } else if meta.is_file() {
        // Not followed: it may have become a link since.
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let file = File::options().read(true).custom_flags(no_follow).open(from)?;
        let size = file.metadata()?.len();
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        tar.append_data(&mut header, to, Exactly { file, left: size })
    } else {
        Ok(())
    }
}

fn header(meta: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(meta.mode() & 0o7777);
    header.set_uid(meta.uid().into());
    header.set_gid(meta.gid().into());
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or_default());
    header
}

/// As many bytes as the header says: of a file that grows the first ones, of one that shrinks zeroes at the end.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let mut read = self.file.read(&mut into[..most])?;
        if read == 0 {
            into[..most].fill(0);
            read = most;
        }
        self.left -= read as u64;
        Ok(read)
    }
}
