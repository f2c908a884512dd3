//! What libcontainer is told: `config.json`, and the three files of `/etc` that are ours. All of it on the supervisor's
//! own tmpfs, and without the environment.
//!
//! There is no network namespace in it: the supervisor is in the session's already. That one belongs to the host's user
//! namespace, so the container cannot mount sysfs; its `/sys` is empty.

use std::{
    fs::{self, Permissions},
    io,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::{PermissionsExt as _, chown},
    },
    path::Path,
};

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::{
    super::{
        cgroups::Hierarchies,
        proto::{Launch, LaunchLimits, Mount, MountSource},
    },
    account::Account,
    seccomp, stage,
};

/// The most open files a workload may ask for.
const MAX_FILES: u64 = 1 << 20;

/// Files that tell about the host or could change it.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
];

/// What may be read but not written.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Writes the bundle.
pub(super) fn write(launch: &Launch, account: &Account, user_namespace: BorrowedFd<'_>) -> io::Result<()> {
    for (name, text) in [
        ("hosts", &launch.hosts),
        ("hostname", &format!("{}\n", launch.hostname)),
        ("resolv.conf", &launch.resolv_conf),
    ] {
        file(name, text, launch.id_base, launch.id_base)?;
    }
    for (number, mount) in launch.mounts.iter().enumerate() {
        let MountSource::File(text) = &mount.source else { continue };
        // The service's own user: it may write to what is not read-only.
        file(&number.to_string(), text, launch.id_base + account.uid, launch.id_base + account.gid)?;
    }
    let hierarchies = Hierarchies::find()?;
    let config = config(launch, account, user_namespace, &hierarchies);
    fs::write(Path::new(stage::BUNDLE).join("config.json"), serde_json::to_vec(&config)?)
}

/// A file to be bound into the container.
fn file(name: &str, text: &str, user: u32, group: u32) -> io::Result<()> {
    let path = Path::new(stage::FILES).join(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    chown(&path, Some(user), Some(group))
}

/// Writes `/etc/hosts` anew. The container has this very file, so it is written over and not replaced.
pub(super) fn name_peers(hosts: &str) {
    // Without room for it, names stay as they were; nothing else depends on them.
    let _ = fs::write(Path::new(stage::FILES).join("hosts"), hosts);
}

fn config(launch: &Launch, account: &Account, user_namespace: BorrowedFd<'_>, hierarchies: &Hierarchies) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "root": { "path": "rootfs", "readonly": !launch.writable_root },
        "hostname": launch.hostname,
        "process": process(launch, account),
        "mounts": mounts(launch),
        "linux": {
            // An empty path means a new one; the user namespace is there already, because the layers are mapped with it.
            "namespaces": [
                { "type": "user", "path": format!("/proc/self/fd/{}", user_namespace.as_raw_fd()) },
                { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "cgroup" },
            ],
            "cgroupsPath": launch.cgroup,
            "resources": resources(launch.limits, hierarchies),
            "seccomp": seccomp::profile(),
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    })
}

fn process(launch: &Launch, account: &Account) -> Value {
    let files = max_files();
    json!({
        "terminal": false,
        "user": { "uid": account.uid, "gid": account.gid, "additionalGids": account.groups, "umask": 0o022 },
        "args": launch.args,
        // Not the container's: it keeps libcontainer from looking for a home directory in the image by itself.
        "env": ["HOME=/"],
        "cwd": launch.working_dir,
        "capabilities": capabilities(&launch.capabilities),
        "rlimits": [
            { "type": "RLIMIT_CORE", "soft": 1, "hard": 1 },
            { "type": "RLIMIT_NOFILE", "soft": files, "hard": files },
        ],
        "noNewPrivileges": true,
    })
}

/// How many files a workload's process may open: above our own hard limit nothing can be had; below it, what a server
/// process is used to.
pub(super) fn max_files() -> u64 {
    getrlimit(Resource::Nofile).maximum.map_or(MAX_FILES, |hard| hard.min(MAX_FILES))
}

/// What a workload's processes are allowed: these and nothing else.
pub(super) fn capabilities(extra: &[String]) -> Value {
    let none: [&str; 0] = [];
    json!({ "bounding": extra, "effective": extra, "permitted": extra, "inheritable": none, "ambient": none })
}

fn mounts(launch: &Launch) -> Value {
    let tmpfs = |destination: &str, options: &[&str]| json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options });
    let file = |name: &str| {
        json!({
            "destination": format!("/etc/{name}"), "type": "bind", "source": format!("{}/{name}", stage::FILES),
            "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
        })
    };
    let size = format!("size={}", launch.limits.memory_bytes);
    let ours = json!([
        { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
        tmpfs("/dev", &["nosuid", "strictatime", "mode=755", "size=65536"]),
        {
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        tmpfs("/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
        tmpfs("/sys", &["ro", "nosuid", "noexec", "nodev", "mode=555", "size=4096"]),
        tmpfs("/tmp", &["nosuid", "nodev", "mode=1777", size.as_str()]),
        file("hosts"), file("hostname"), file("resolv.conf"),
    ]);
    let stated = launch.mounts.iter().enumerate().map(|(number, mount)| match mount.source {
        MountSource::File(_) => json!({
            "destination": mount.path, "type": "bind", "source": format!("{}/{number}", stage::FILES),
            "options": ["bind", access(mount), "nosuid", "nodev", "noexec"],
        }),
        MountSource::Directory { .. } | MountSource::Image { .. } => json!({
            "destination": mount.path, "type": "bind", "source": format!("{}/{number}", stage::VOLUMES),
            "options": ["bind", access(mount), "nosuid", "nodev"],
        }),
        MountSource::EmptyDir => tmpfs(&mount.path, &[access(mount), "nosuid", "nodev", "mode=1777", size.as_str()]),
    });
    // After our own, so that they may lie below `/tmp`.
    ours.as_array().cloned().unwrap_or_default().into_iter().chain(stated).collect()
}

const fn access(mount: &Mount) -> &'static str {
    if mount.read_only { "ro" } else { "rw" }
}

fn resources(limits: LaunchLimits, hierarchies: &Hierarchies) -> Value {
    let (memory, pids) = (limits.memory_bytes, json!({ "limit": limits.pids }));
    if hierarchies.is_unified() {
        // Said by the file's name: of "memory and swap together are no more than the memory" libcontainer 0.7 writes
        // nothing. A kernel without swap has no such file.
        let unified = if Path::new("/proc/swaps").exists() { json!({ "memory.swap.max": "0" }) } else { json!({}) };
        json!({ "memory": { "limit": memory }, "pids": pids, "unified": unified })
    } else if hierarchies.has_memsw() {
        json!({ "memory": { "limit": memory, "swap": memory }, "pids": pids })
    } else {
        json!({ "memory": { "limit": memory }, "pids": pids })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn no_swap_on_any_host() {
        let memory = 64_u64 << 20;
        let limits = LaunchLimits { memory_bytes: memory, pids: 10, log_bytes: 0 };
        let host = |files: &[(&str, &str)], mount: &str| {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = dir.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let at = dir.path().join(mount);
            (resources(limits, &Hierarchies::of(&[(&at, "")], &at)), dir).0
        };
        let unified = host(&[("cgroup.controllers", "cpu memory pids")], "");
        assert_eq!(unified["memory"], json!({ "limit": memory }));
        assert_eq!(unified["unified"]["memory.swap.max"], "0");
        let with_swap = host(&[("memory/memory.memsw.limit_in_bytes", "")], "memory");
        assert_eq!(with_swap["memory"], json!({ "limit": memory, "swap": memory }));
        assert!(with_swap.get("unified").is_none());
        assert_eq!(host(&[("memory/x", "")], "memory")["memory"], json!({ "limit": memory }));
    }
}
