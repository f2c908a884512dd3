//! The program that runs for each workload, as its supervisor and at first as the container's first process.
//!
//! What must stay true: it is executed through a mount that nobody else has and nothing can be written through, so that
//! `/proc/PID/exe`, the one door from a container to a file of the host, leads to a file that is read-only also for a
//! process that could write the file itself (CVE-2019-5736).

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::CWD,
    mount::{OpenTreeFlags, open_tree},
};

use super::sys;

/// Holds the mount, which is attached nowhere; it is gone with this and with the last process that executes it.
pub(super) struct Program(OwnedFd);

impl Program {
    /// Makes the mount. Another program may be put in the place of `path` afterwards; this stays the one that was there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mount = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
        sys::read_only_mount(mount.as_fd())?;
        Ok(Self(mount))
    }

    /// What a child of this process executes. The descriptor is closed by that.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}
