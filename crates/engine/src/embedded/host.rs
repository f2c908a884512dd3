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
    checks(Some(hierarchies)).into_iter().try_for_each(|(_, tried)| tried.map(drop))
}

/// Each check by itself: what is looked at, and what is found.
pub(super) fn checks(hierarchies: Option<&Hierarchies>) -> Vec<(&'static str, Result<String, OpenError>)> {
    vec![
        ("privileges", privileges()),
        ("user namespaces", user_namespaces()),
        ("EROFS", file_system("erofs", "load it with `modprobe erofs`, or use a kernel of 6.1 or newer that has it")),
        ("overlay file system", file_system("overlay", "load it with `modprobe overlay`, or use a kernel that has it")),
        ("cgroups", limits(hierarchies)),
    ]
}

fn privileges() -> Result<String, OpenError> {
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
    Ok("root".to_owned())
}

fn user_namespaces() -> Result<String, OpenError> {
    let most = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    if !Path::new("/proc/self/ns/user").exists() || most.trim() == "0" {
        return Err(OpenError::Kernel {
            feature: "user namespaces",
            remedy: "allow them with `sysctl -w user.max_user_namespaces=65536`",
        });
    }
    // Tried, not only looked up: user_namespaces(7) lists more reasons to be refused, a chroot among them.
    sys::Parked::in_new_user_namespace().map_err(OpenError::UserNamespace)?;
    Ok(format!("{} at most", most.trim()))
}

fn file_system(name: &str, remedy: &'static str) -> Result<String, OpenError> {
    if has_filesystem(name) {
        return Ok("there".to_owned());
    }
    Err(OpenError::Kernel { feature: name_of(name), remedy })
}

fn limits(hierarchies: Option<&Hierarchies>) -> Result<String, OpenError> {
    match hierarchies {
        Some(found) if found.can_limit() => {
            Ok(if found.is_unified() { "v2, memory and pids" } else { "v1, memory and pids" }.to_owned())
        }
        _ => Err(OpenError::Kernel {
            feature: "cgroup that limits memory and processes",
            remedy: "boot with `cgroup_enable=memory`, and mount cgroups under /sys/fs/cgroup",
        }),
    }
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
