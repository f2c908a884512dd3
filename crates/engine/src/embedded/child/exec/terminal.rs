//! A terminal of our own: made in a file system that is attached nowhere, so that neither end is looked up by a path
//! that a container could have laid.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    fs::{Gid, Mode, OFlags, Uid, fchown, openat},
    mount::MountAttrFlags,
};

use super::super::{super::sys, stage::new_mount};

/// Both ends; the second is given to this user.
pub(super) fn open((uid, gid): (Uid, Gid)) -> io::Result<(OwnedFd, OwnedFd)> {
    let options = [("ptmxmode", "0600".to_owned()), ("mode", "0620".to_owned())];
    let terminals = new_mount("devpts", "devpts", &options, MountAttrFlags::MOUNT_ATTR_NOSUID)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = openat(&terminals, "ptmx", flags, Mode::empty())?;
    sys::unlock_terminal(master.as_fd())?;
    let terminal = sys::terminal_peer(master.as_fd())?;
    fchown(&terminal, Some(uid), Some(gid))?;
    Ok((master, terminal))
}
