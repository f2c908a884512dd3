//! Directories that stay when containers end: one per room and one per project, below the engine's own.
//!
//! What must stay true: the way to them is 0700; what is in them belongs to a range of ids that is nobody's on the host,
//! whichever workload wrote it.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::proto;
use crate::{Mount, MountSource, StorageId};

/// Tells names of directories that are being made apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where a stored directory is.
pub(super) fn path(root: &Path, storage: StorageId) -> PathBuf {
    match storage {
        StorageId::Project(project) => root.join(project.to_string()).join("project"),
        StorageId::Room(project, room) => root.join(project.to_string()).join(format!("room-{room}")),
    }
}

/// A workload's mounts as its supervisor gets them; stored directories are made.
pub(super) fn mounts(root: &Path, owner: u32, mounts: &[Mount]) -> io::Result<Vec<proto::Mount>> {
    let one = |Mount { path, read_only, source }: &Mount| {
        let source = match source {
            MountSource::EmptyDir => proto::MountSource::EmptyDir,
            MountSource::File(text) => proto::MountSource::File(text.clone()),
            MountSource::Image { image, subpath } => proto::MountSource::Image {
                layers: image.layers.iter().map(|layer| layer.path.clone()).collect(),
                subpath: subpath.clone(),
            },
            MountSource::Stored { storage, subpath } => {
                let path = self::path(root, *storage);
                make(&path, owner)?;
                proto::MountSource::Directory { path, subpath: subpath.clone() }
            }
        };
        Ok(proto::Mount { path: path.clone(), read_only: *read_only, source })
    };
    mounts.iter().map(one).collect()
}

fn make(path: &Path, owner: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().ok_or_else(|| io::Error::other("it has no parent"))?;
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    // Under another name until it is as it must be: nobody sees it half made.
    let new = parent.join(format!(".new-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    match fs::remove_dir(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir(&new)?;
    chown(&new, Some(owner), Some(owner))?;
    // Whatever user a service runs as.
    fs::set_permissions(&new, Permissions::from_mode(0o777))?;
    match fs::rename(&new, path) {
        // Another start has made it at the same time.
        Err(_) if path.is_dir() => fs::remove_dir(&new),
        renamed => renamed,
    }
}
