//! Looking into the mounted image from outside. All of it is a stranger's: every path is resolved inside its root, files
//! are regular and bounded, nothing is followed out.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, fchown, mkdirat, openat, openat2},
    io::Errno,
};

use super::stage::ROOTFS;

/// Bytes of `/etc/passwd` or `/etc/group` at most.
const MAX_FILE: u64 = 1 << 20;

/// The container's root, held open.
pub(super) struct Rootfs(OwnedFd);

impl Rootfs {
    /// Opens it.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(openat(CWD, ROOTFS, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// A text file of the image; `None` when it is not there.
    pub(super) fn read(&self, path: &str) -> io::Result<Option<String>> {
        // Not blocking: a FIFO under this name must not stop us.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.resolve(path, flags) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            other => File::from(other?),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{path} is no regular file")));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::other(format!("{path} is larger than 1 MiB")));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Makes a directory and its parents where they are missing, owned by `owner`. What is there must be a directory.
    pub(super) fn make_dirs(&self, path: &str, owner: u32) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut parent = self.0.try_clone()?;
        let mut so_far = String::from("/");
        for component in Path::new(path).components() {
            let Component::Normal(name) = component else { continue };
            let name = name.to_str().ok_or_else(|| io::Error::other("the path is no text"))?;
            so_far.push_str(name);
            parent = match self.resolve(&so_far, flags) {
                Err(Errno::NOENT) => {
                    mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                    let made =
                        openat(&parent, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
                    let (uid, gid) = (rustix::fs::Uid::from_raw(owner), rustix::fs::Gid::from_raw(owner));
                    fchown(&made, Some(uid), Some(gid))?;
                    made
                }
                other => other?,
            };
            so_far.push('/');
        }
        Ok(())
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(self.0.as_fd(), path, flags, Mode::empty(), resolve)
    }
}
