//! Mounts that exist nowhere in the file system: each is a descriptor, and gone with it.

use std::{
    fs::File,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

/// A mounted file system; unmounted when dropped.
pub struct Mounted {
    root: OwnedFd,
    /// What it is made of stays mounted with it.
    _below: Vec<Mounted>,
}

/// How an image file becomes a mount.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// The file itself (Linux 6.12 and newer).
    File,
    /// Over a loop device.
    Loop,
}

pub const WAYS: [Way; 2] = [Way::File, Way::Loop];

impl Mounted {
    /// Mounts a layer's image as the engine does: read-only, no devices, no set-user-id.
    pub fn image(path: &Path, way: Way) -> Self {
        assert!(rustix::process::geteuid().is_root(), "mounting needs root");
        match way {
            Way::File => Self::new("erofs", &[("source", path.to_str().unwrap())]),
            Way::Loop => {
                let device = losetup(&["--find", "--show", "--read-only", path.to_str().unwrap()]);
                let mounted = Self::new("erofs", &[("source", &device)]);
                // In use, it goes when the mount goes.
                losetup(&["--detach", &device]);
                mounted
            }
        }
    }

    /// Layers on one another, the lowest first.
    pub fn overlay(layers: Vec<Self>) -> Self {
        // One lower directory alone is refused by the kernel.
        let bottom = Self::new("tmpfs", &[]);
        let lower: Vec<String> =
            layers.iter().rev().chain([&bottom]).map(|layer| layer.path().to_str().unwrap().to_owned()).collect();
        let mut overlay = Self::new("overlay", &[("source", "overlay"), ("lowerdir", &lower.join(":"))]);
        overlay._below = layers;
        overlay._below.push(bottom);
        overlay
    }

    fn new(kind: &str, options: &[(&str, &str)]) -> Self {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        for (name, value) in options {
            fsconfig_set_string(&context, *name, *value).unwrap();
        }
        if kind != "tmpfs" {
            fsconfig_set_flag(&context, "ro").unwrap();
        }
        fsconfig_create(&context).unwrap_or_else(|error| panic!("{kind} {options:?}: {error}; {}", messages(&context)));
        let flags = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).unwrap();
        Self { root, _below: Vec::new() }
    }

    /// A path that this process reaches the root by.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.root.as_raw_fd()))
    }

    /// The same, for reading what is below.
    pub fn root(&self) -> PathBuf {
        self.path().join(".")
    }
}

/// What the kernel says about a mount that it refused.
fn messages(context: &OwnedFd) -> String {
    use std::io::Read as _;
    let mut text = String::new();
    let mut file = File::from(context.try_clone().unwrap());
    let mut line = [0; 1024];
    while let Ok(n) = file.read(&mut line) {
        text.push_str(&String::from_utf8_lossy(&line[..n]));
    }
    text
}

fn losetup(arguments: &[&str]) -> String {
    let output = Command::new("losetup").args(arguments).output().unwrap();
    assert!(output.status.success(), "losetup {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
