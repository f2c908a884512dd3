//! Whether this host can run workloads at all: asked once, when the engine opens, so that nothing fails half-way later.

use std::{fs, io, path::Path};

use rustix::{
    io::Errno,
    mount::{FsOpenFlags, fsopen},
    process::geteuid,
    thread::{CapabilitySet, capabilities},
};

use super::{cgroups::Hierarchies, config::OpenError, sys};

/// Checks privileges and kernel features. Changes nothing.
pub(super) fn check(hierarchies: &Hierarchies) -> Result<(), OpenError> {
    if !geteuid().is_root() {
        return Err(OpenError::NotRoot);
    }
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    for (capability, name) in [
        (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
        (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        (CapabilitySet::MKNOD, "CAP_MKNOD"),
        (CapabilitySet::SETUID, "CAP_SETUID"),
        (CapabilitySet::SETGID, "CAP_SETGID"),
    ] {
        if !effective.contains(capability) {
            return Err(OpenError::Privilege(name));
        }
    }
    let namespaces = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    if !Path::new("/proc/self/ns/user").exists() || namespaces.trim() == "0" {
        return Err(OpenError::Kernel {
            feature: "user namespaces",
            remedy: "allow them with `sysctl -w user.max_user_namespaces=65536`",
        });
    }
    // Tried, not only looked up: user_namespaces(7) lists more reasons to be refused, a chroot among them.
    sys::Parked::in_new_user_namespace().map_err(OpenError::UserNamespace)?;
    for (name, remedy) in [
        ("erofs", "load it with `modprobe erofs`, or use a kernel of 6.1 or newer that has it"),
        ("overlay", "load it with `modprobe overlay`, or use a kernel that has it"),
    ] {
        if !has_filesystem(name) {
            return Err(OpenError::Kernel { feature: name_of(name), remedy });
        }
    }
    if !hierarchies.can_limit() {
        return Err(OpenError::Kernel {
            feature: "cgroup that limits memory and processes",
            remedy: "boot with `cgroup_enable=memory`, and mount cgroups under /sys/fs/cgroup",
        });
    }
    Ok(())
}

/// The id of this boot: what ran in another one runs no more.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Asks the kernel, which loads a module for it when there is one.
fn has_filesystem(name: &str) -> bool {
    !matches!(fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC), Err(Errno::NODEV | Errno::NOSYS))
}

fn name_of(filesystem: &str) -> &'static str {
    if filesystem == "erofs" { "EROFS" } else { "overlay file system" }
}
