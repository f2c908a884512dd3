//! What is mounted into a container beside its image and stays or comes from elsewhere: stored directories and the files
//! of other images.
//!
//! Prepared in two steps, as the layers are: opened while the host's files are in sight, attached in the supervisor's own
//! root. What must stay true: `nosuid,nodev`; owners are mapped, so that nothing on the disk belongs to a user of the
//! host; a part is looked up without following a link out of what it is a part of.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, mkdirat, openat, openat2},
    io::Errno,
    mount::{MountFlags, OpenTreeFlags, mount, open_tree},
};

use super::{
    super::{
        ids::RANGE,
        proto::{Launch, MountSource},
        sys,
    },
    fault::{Doing, Fault},
    layers,
    stage::{VOLUMES, attach},
};

/// What was opened, by the place of its mount in the launch.
pub(super) struct Opened(Vec<(usize, Volume)>);

enum Volume {
    Directory(OwnedFd),
    Image { layers: Vec<OwnedFd>, subpath: String },
}

/// Opens everything; needs the host's files.
pub(super) fn open(launch: &Launch, user_namespace: impl AsFd) -> Result<Opened, Fault> {
    let mut opened = Vec::new();
    let mut stored = None;
    for (number, mount) in launch.mounts.iter().enumerate() {
        let volume = match &mount.source {
            MountSource::EmptyDir | MountSource::File(_) => continue,
            MountSource::Image { layers, subpath } => Volume::Image {
                layers: layers::mount_each(layers, launch.force_loop, user_namespace.as_fd())?,
                subpath: subpath.clone(),
            },
            MountSource::Directory { path, subpath } => {
                let mapping = match &stored {
                    Some(mapping) => mapping,
                    None => stored.insert(owners(launch)?),
                };
                Volume::Directory(directory(launch, path, subpath, mapping)?)
            }
        };
        opened.push((number, volume));
    }
    Ok(Opened(opened))
}

/// A mapping from the ids that stored files have on the disk to those of the workload.
fn owners(launch: &Launch) -> Result<OwnedFd, Fault> {
    layers::user_namespace_of(&format!("{} {} {RANGE}\n", launch.storage_base, launch.id_base))
}

fn directory(launch: &Launch, path: &Path, subpath: &str, owners: &OwnedFd) -> Result<OwnedFd, Fault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = openat(CWD, path, flags, Mode::empty()).doing("opening the storage")?;
    let part = part(&root, subpath, Some(launch.storage_base)).map_err(|error| not_a_part(subpath, &error))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(&part, "", flags).doing("taking a directory of the storage")?;
    sys::confine_mount(tree.as_fd()).doing("confining the storage")?;
    sys::idmap_mount(tree.as_fd(), owners.as_fd()).map_err(|error| {
        Fault::invalid(
            "storage_unsupported",
            format!("the file system of the data directory cannot map owners: {error}"),
            "put meshkeep's data directory on ext4, xfs or btrfs",
        )
    })?;
    Ok(tree)
}

/// A directory below `root`. With an owner what is missing is made; a link leads nowhere.
fn part(root: &OwnedFd, subpath: &str, owner: Option<u32>) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let mut at = root.try_clone()?;
    for name in subpath.split('/').filter(|name| !name.is_empty()) {
        at = match (openat2(&at, name, flags, Mode::empty(), resolve), owner) {
            (Err(Errno::NOENT), Some(owner)) => {
                match mkdirat(&at, name, Mode::from_raw_mode(0o755)) {
                    // Another workload made it at the same time.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let made =
                    openat2(&at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve)?;
                fchown(&made, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))?;
                // Whatever user the service runs as.
                fchmod(&made, Mode::from_raw_mode(0o777))?;
                made
            }
            (opened, _) => opened?,
        };
    }
    Ok(at)
}

impl Opened {
    /// Attaches everything in the supervisor's own root, which is the current one.
    pub(super) fn attach(self) -> Result<(), Fault> {
        for (number, volume) in self.0 {
            let place = format!("{VOLUMES}/{number}");
            fs::create_dir(&place).doing("making a mount point")?;
            let root = openat(CWD, place.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
            let root = root.doing("opening a mount point")?;
            match volume {
                Volume::Directory(tree) => attach(&tree, &root, "").doing("attaching the storage")?,
                Volume::Image { layers, subpath } => image(number, &layers, &root, &subpath)?,
            }
        }
        Ok(())
    }
}

/// The layers as one tree, of which a part may be meant.
fn image(number: usize, layers: &[OwnedFd], root: &OwnedFd, subpath: &str) -> Result<(), Fault> {
    let whole = format!("{VOLUMES}/{number}-image");
    fs::create_dir(&whole).doing("making a mount point")?;
    let at = openat(CWD, whole.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let at = at.doing("opening a mount point")?;
    match layers {
        [] => return Err(Fault::Step { doing: "mounting an image".into(), source: "it has no layer".into() }),
        // The kernel refuses an overlay of one layer without an upper; it is what it is.
        [layer] => attach(layer, &at, "").doing("attaching an image")?,
        layers => overlay(number, layers, &whole)?,
    }
    let at = openat(CWD, whole.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let part = part(&at.doing("opening an image")?, subpath, None).map_err(|error| not_a_part(subpath, &error))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(&part, "", flags).doing("taking a directory of an image")?;
    attach(&tree, root, "").doing("attaching a directory of an image")
}

fn overlay(number: usize, layers: &[OwnedFd], whole: &str) -> Result<(), Fault> {
    let below = format!("{VOLUMES}/{number}-layers");
    fs::create_dir(&below).doing("making the layers' mount points")?;
    for (layer, mount) in layers.iter().enumerate() {
        let place = format!("{below}/{layer}");
        fs::create_dir(&place).doing("making a layer's mount point")?;
        let at = openat(CWD, place.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        attach(mount, &at.doing("opening a layer's mount point")?, "").doing("attaching a layer")?;
    }
    let lower = (0..layers.len()).rev().map(|layer| layer.to_string()).collect::<Vec<_>>().join(":");
    let options = std::ffi::CString::new(format!("lowerdir={lower}")).map_err(io::Error::other);
    let options = options.doing("naming the layers")?;
    rustix::process::chdir(below.as_str()).doing("entering the layers")?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount("overlay", whole, "overlay", flags, options.as_c_str()).doing("mounting an image")?;
    rustix::process::chdir("/").doing("leaving the layers")
}

fn not_a_part(subpath: &str, error: &io::Error) -> Fault {
    Fault::invalid(
        "bad_storage",
        format!("the subpath `{subpath}` is no directory of what it is to be a part of: {error}"),
        "name a directory that is there, without links on the way",
    )
}
