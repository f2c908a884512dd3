//! What libcontainer is told: `config.json`, and the three files of `/etc` that are ours. All of it on the supervisor's
//! own tmpfs, and without the environment.
//!
//! There is no network namespace in it: the supervisor is in the session's already. That one belongs to the host's user
//! namespace, so the container cannot mount sysfs; its `/sys` is empty.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::chown,
    },
    path::Path,
};

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::{
    super::{cgroups::Hierarchies, proto::Launch},
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
        let path = Path::new(stage::FILES).join(name);
        fs::write(&path, text)?;
        chown(&path, Some(launch.id_base), Some(launch.id_base))?;
    }
    let hierarchies = Hierarchies::find()?;
    let config = config(launch, account, user_namespace, &hierarchies);
    fs::write(Path::new(stage::BUNDLE).join("config.json"), serde_json::to_vec(&config)?)
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
            "resources": resources(launch, hierarchies),
            "seccomp": seccomp::profile(),
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    })
}

fn process(launch: &Launch, account: &Account) -> Value {
    let none: [&str; 0] = [];
    let extra = &launch.capabilities;
    // Above our own hard limit nothing can be had; below it, what a server process is used to.
    let files = getrlimit(Resource::Nofile).maximum.map_or(MAX_FILES, |hard| hard.min(MAX_FILES));
    json!({
        "terminal": false,
        "user": { "uid": account.uid, "gid": account.gid, "additionalGids": account.groups, "umask": 0o022 },
        "args": launch.args,
        // Not the container's: it keeps libcontainer from looking for a home directory in the image by itself.
        "env": ["HOME=/"],
        "cwd": launch.working_dir,
        "capabilities": {
            "bounding": extra, "effective": extra, "permitted": extra, "inheritable": none, "ambient": none,
        },
        "rlimits": [
            { "type": "RLIMIT_CORE", "soft": 1, "hard": 1 },
            { "type": "RLIMIT_NOFILE", "soft": files, "hard": files },
        ],
        "noNewPrivileges": true,
    })
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
    json!([
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
    ])
}

fn resources(launch: &Launch, hierarchies: &Hierarchies) -> Value {
    let memory = launch.limits.memory_bytes;
    // For version 1 the file is memory and swap together; libcontainer takes the memory off for version 2.
    let swap = hierarchies.has_memsw() || (hierarchies.is_unified() && Path::new("/proc/swaps").exists());
    let memory = if swap { json!({ "limit": memory, "swap": memory }) } else { json!({ "limit": memory }) };
    json!({ "memory": memory, "pids": { "limit": launch.limits.pids } })
}
