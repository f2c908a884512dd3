//! The supervisor's own small root: a tmpfs that it mounted itself, with `/proc`, the cgroups, six devices, the layers
//! and the overlay, and nothing else of the host.
//!
//! The container is built below it: whoever gets out of the container before it is confined finds no host. It also keeps
//! every path short and lets the container's root, an ordinary user of the host, walk to it although the engine's
//! directory is 0700. What must stay true: the mount namespace is private; the old root is gone before anything of an
//! image is looked at.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, makedev, mkdirat, mknodat, openat},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
        UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, mount_change,
        move_mount, open_tree, unmount,
    },
    process::{chdir, fchdir, pivot_root},
};

use super::{
    super::{proto::Launch, sys},
    fault::{Doing, Fault},
};

/// The bundle that libcontainer reads.
pub(super) const BUNDLE: &str = "/bundle";
/// The container's root file system.
pub(super) const ROOTFS: &str = "/bundle/rootfs";
/// libcontainer's own state.
pub(super) const STATE: &str = "/state";
/// Directories that are bound into the container.
pub(super) const VOLUMES: &str = "/volumes";
/// Files that are bound into the container.
pub(super) const FILES: &str = "/files";

/// Bytes of the tmpfs for a root file system that cannot be written: mount points and our own files.
const SMALL: u64 = 16 << 20;

const DIRECTORIES: [&str; 12] = [
    "proc",
    "dev",
    "sys",
    "sys/fs",
    "sys/fs/cgroup",
    "bundle",
    "bundle/rootfs",
    "state",
    "files",
    "volumes",
    "layers",
    "upper",
];

/// Name, major and minor number of the devices that libcontainer binds into every container.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Leaves the host's mounts for a root of our own, with the image's file system under [`ROOTFS`].
pub(super) fn enter(launch: &Launch, layers: &[OwnedFd]) -> Result<(), Fault> {
    let root = make_root(launch)?;
    fill(&root).doing("filling the supervisor's own root")?;
    let cgroups = open_tree(
        CWD,
        "/sys/fs/cgroup",
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE,
    )
    .doing("taking the cgroup file systems along")?;
    attach(&cgroups, &root, "sys/fs/cgroup").doing("attaching the cgroup file systems")?;
    // Whoever gets here out of a container finds none of the host's processes.
    let proc = new_mount("proc", "proc", &[("hidepid", "invisible".to_owned())], MountAttrFlags::empty())
        .doing("mounting proc")?;
    attach(&proc, &root, "proc").doing("attaching proc")?;
    for (number, layer) in layers.iter().enumerate() {
        let place = format!("layers/{number}");
        mkdirat(&root, place.as_str(), Mode::from_raw_mode(0o755)).doing("making a layer's mount point")?;
        attach(layer, &root, &place).doing("attaching a layer")?;
    }
    leave_old_root(&root).doing("leaving the host's file systems")?;
    overlay(layers)
}

fn make_root(launch: &Launch) -> Result<OwnedFd, Fault> {
    sys::unshare_mounts().doing("making a mount namespace")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .doing("making the mount namespace private")?;
    let (size, inodes) =
        if launch.writable_root { (launch.limits.memory_bytes.max(SMALL), 262_144) } else { (SMALL, 16_384) };
    let options = [("mode", "0755".to_owned()), ("size", size.to_string()), ("nr_inodes", inodes.to_string())];
    let root = new_mount("tmpfs", "meshkeep", &options, MountAttrFlags::MOUNT_ATTR_NOSUID)
        .doing("mounting the supervisor's own tmpfs")?;
    let stage = openat(CWD, &launch.stage, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
        .doing("opening the engine's stage directory")?;
    attach(&root, &stage, "").doing("attaching the supervisor's own tmpfs")?;
    Ok(root)
}

/// A file system that is not attached anywhere yet. An option without a value is a flag.
pub(super) fn new_mount(
    kind: &str,
    source: &str,
    options: &[(&str, String)],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", source)?;
    for (name, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(context.as_fd(), *name)?;
        } else {
            fsconfig_set_string(context.as_fd(), *name, value.as_str())?;
        }
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Attaches a mount at a path below `dir`, or at `dir` itself.
pub(super) fn attach(mount: impl AsFd, dir: impl AsFd, path: &str) -> io::Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    Ok(move_mount(mount.as_fd(), "", dir.as_fd(), path, flags)?)
}

fn fill(root: &OwnedFd) -> io::Result<()> {
    for directory in DIRECTORIES {
        mkdirat(root, directory, Mode::from_raw_mode(0o755))?;
    }
    mkdirat(root, "work", Mode::from_raw_mode(0o700))?;
    for (name, major, minor) in DEVICES {
        let path = format!("dev/{name}");
        mknodat(root, path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(major, minor))?;
    }
    Ok(())
}

fn leave_old_root(root: &OwnedFd) -> io::Result<()> {
    fchdir(root)?;
    pivot_root(".", ".")?;
    // The old root now lies over the new one.
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    Ok(())
}

/// The layers as one file system. A small upper always: mount points can be made in any image, and the kernel refuses an
/// overlay of one layer without one.
fn overlay(layers: &[OwnedFd]) -> Result<(), Fault> {
    let upper = openat(CWD, "/upper", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).doing("opening the upper")?;
    // The root directory of an overlay is its upper's: it gets the image's owner and mode. A tmpfs cannot be idmapped on
    // older kernels, so owners in the upper are the host's ids.
    let top = layers.last().ok_or_else(|| io::Error::other("the image has no layer")).doing("stacking the layers")?;
    let stat = fstat(top).doing("reading the top layer's root")?;
    fchown(&upper, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))).doing("owning the upper")?;
    fchmod(&upper, Mode::from_raw_mode(stat.st_mode & 0o7777)).doing("setting the upper's mode")?;
    // Names of one to three digits, relative to the current directory: 127 layers fit in a page of options.
    let lower = (0..layers.len()).rev().map(|number| number.to_string()).collect::<Vec<_>>().join(":");
    let options = std::ffi::CString::new(format!("lowerdir={lower},upperdir=../upper,workdir=../work"))
        .map_err(io::Error::other)
        .doing("naming the layers")?;
    chdir(Path::new("/layers")).doing("entering the layers")?;
    mount("overlay", ROOTFS, "overlay", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())
        .doing("mounting the overlay")?;
    chdir("/").doing("leaving the layers")
}
