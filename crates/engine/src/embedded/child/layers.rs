//! Layers as mounts: each EROFS image read-only, straight from its file where the kernel can (6.12), over a loop device
//! otherwise, with its owners mapped into the workload's range.
//!
//! What must stay true: `ro,nosuid,nodev`; a loop device goes away with its last mount.

use std::{
    fs::{self, File},
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{
    super::{proto::Launch, sys},
    fault::{Doing, Fault},
    stage::new_mount,
};

/// How often another process may snatch a free loop device from us.
const LOOP_TRIES: usize = 64;

/// A user namespace with the workload's ids: 0 to 65,535 inside are its range outside.
pub(super) fn user_namespace(launch: &Launch) -> Result<OwnedFd, Fault> {
    user_namespace_of(&format!("0 {} {}\n", launch.id_base, super::super::ids::RANGE))
}

/// A user namespace with this mapping of users and of groups.
pub(super) fn user_namespace_of(map: &str) -> Result<OwnedFd, Fault> {
    let parked = sys::Parked::in_new_user_namespace().doing("making a user namespace")?;
    for name in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{name}", parked.pid()), map).doing("mapping the user namespace")?;
    }
    let path = format!("/proc/{}/ns/user", parked.pid());
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).doing("opening the user namespace")
}

/// Every layer of the workload's image as a mount that is not attached yet, lowest first.
pub(super) fn mount_all(launch: &Launch, user_namespace: impl AsFd) -> Result<Vec<OwnedFd>, Fault> {
    mount_each(&launch.layers, launch.force_loop, user_namespace)
}

/// These layers as mounts that are not attached yet.
pub(super) fn mount_each(
    layers: &[PathBuf],
    force_loop: bool,
    user_namespace: impl AsFd,
) -> Result<Vec<OwnedFd>, Fault> {
    let mut by_loop = force_loop;
    let mut mounts = Vec::with_capacity(layers.len());
    for path in layers {
        let file = open(path).doing(format!("opening the layer {}", path.display()))?;
        let mount = mount_one(&file, &mut by_loop).doing(format!("mounting the layer {}", path.display()))?;
        sys::idmap_mount(mount.as_fd(), user_namespace.as_fd()).doing("mapping a layer's owners")?;
        mounts.push(mount);
    }
    Ok(mounts)
}

fn open(path: &Path) -> io::Result<File> {
    let file = File::from(openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

fn mount_one(file: &File, by_loop: &mut bool) -> io::Result<OwnedFd> {
    if !*by_loop {
        // The path of a layer may be longer than the 256 bytes that fit here.
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        match erofs(&source) {
            // The kernel cannot: a layer that is damaged fails below as well.
            Err(error) if error.raw_os_error() == Some(Errno::NOTBLK.raw_os_error()) => *by_loop = true,
            // Or not from the file system that this one lies on.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            other => return other,
        }
    }
    let (device, source) = attach_loop(file)?;
    let mount = erofs(&source)?;
    // The mount holds the device now; with our descriptor closed it goes when the mount goes.
    drop(device);
    Ok(mount)
}

fn erofs(source: &str) -> io::Result<OwnedFd> {
    let attributes =
        MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    // The file system itself too, not only this mount: else a loop device that is read-only would not be opened.
    new_mount("erofs", source, &[("ro", String::new())], attributes)
}

fn attach_loop(file: &File) -> io::Result<(File, String)> {
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    let mut last = io::Error::other("no loop device is free");
    for _ in 0..LOOP_TRIES {
        let path = format!("/dev/loop{}", sys::loop_get_free(control.as_fd())?);
        let attempt = File::open(&path).and_then(|device| {
            sys::loop_configure(device.as_fd(), file.as_fd())?;
            Ok(device)
        });
        match attempt {
            Ok(device) => return Ok((device, path)),
            // Somebody else was given the same number, or its node is not there yet.
            Err(error) if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::NotFound) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}
