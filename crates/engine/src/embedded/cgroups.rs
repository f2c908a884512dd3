//! The cgroups of workloads on any host: version 1, version 2, or both. libcontainer makes and fills them; here they are
//! read, emptied and removed.
//!
//! What must stay true: only cgroups below our own parent are touched, and removing what is gone is no error.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long killed processes may take to leave their cgroup; one stuck in the kernel may never.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the unified hierarchy is mounted on a host that has no other.
const UNIFIED: &str = "/sys/fs/cgroup";

/// Every mounted hierarchy.
#[derive(Clone, Debug)]
pub(super) struct Hierarchies {
    mounts: Vec<Mounted>,
    unified: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mounted {
    at: PathBuf,
    /// Of version 1: its controllers among them.
    options: String,
}

impl Hierarchies {
    /// Finds them.
    pub(super) fn find() -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Self { mounts: mounts.lines().filter_map(cgroup_mount).collect(), unified: PathBuf::from(UNIFIED) })
    }

    /// Whether some hierarchy limits both memory and processes.
    pub(super) fn can_limit(&self) -> bool {
        let unified = || {
            let controllers = fs::read_to_string(self.unified.join("cgroup.controllers")).unwrap_or_default();
            ["memory", "pids"].iter().all(|wanted| controllers.split_whitespace().any(|one| one == *wanted))
        };
        let has = |wanted| self.mounts.iter().any(|mount| mount.options.split(',').any(|one| one == wanted));
        (has("memory") && has("pids")) || unified()
    }

    /// Whether memory and swap can be limited together (version 1).
    pub(super) fn has_memsw(&self) -> bool {
        self.mounts.iter().any(|mount| mount.at.join("memory.memsw.limit_in_bytes").exists())
    }

    /// Whether version 2 is all there is.
    pub(super) fn is_unified(&self) -> bool {
        self.mounts.iter().any(|mount| mount.at == self.unified) && self.unified.join("cgroup.controllers").exists()
    }

    /// Hierarchies of a host that a test made up.
    #[cfg(test)]
    pub(super) fn of(mounts: &[(&Path, &str)], unified: &Path) -> Self {
        let mounted = |(at, options): &(&Path, &str)| Mounted { at: at.to_path_buf(), options: (*options).to_owned() };
        Self { mounts: mounts.iter().map(mounted).collect(), unified: unified.to_owned() }
    }

    fn dirs(&self, cgroup: &str) -> Vec<PathBuf> {
        let relative = cgroup.trim_start_matches('/');
        self.mounts.iter().map(|mount| mount.at.join(relative)).filter(|dir| dir.is_dir()).collect()
    }

    /// Puts this process into it, in every hierarchy that has it.
    pub(super) fn join(&self, cgroup: &str) -> io::Result<()> {
        let dirs = self.dirs(cgroup);
        if dirs.is_empty() {
            return Err(io::Error::other("the workload's cgroup is gone"));
        }
        dirs.iter().try_for_each(|dir| fs::write(dir.join("cgroup.procs"), "0"))
    }

    /// How often the kernel killed something in it for want of memory.
    pub(super) fn oom_kills(&self, cgroup: &str) -> u64 {
        let of = |dir: &Path| {
            ["memory.events", "memory.oom_control"].iter().find_map(|name| {
                let text = fs::read_to_string(dir.join(name)).ok()?;
                text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
            })
        };
        self.dirs(cgroup).iter().filter_map(|dir| of(dir)).sum()
    }

    /// How often it was refused another process.
    pub(super) fn pids_refused(&self, cgroup: &str) -> u64 {
        let of = |dir: &Path| {
            let text = fs::read_to_string(dir.join("pids.events")).ok()?;
            text.lines().find_map(|line| line.strip_prefix("max ")?.trim().parse::<u64>().ok())
        };
        self.dirs(cgroup).iter().filter_map(|dir| of(dir)).sum()
    }

    /// Kills everything in it and removes it. Blocks until it is gone.
    pub(super) fn destroy(&self, cgroup: &str) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut left = None;
            for dir in self.dirs(cgroup) {
                kill_all(&dir)?;
                left = remove(&dir).err().or(left);
            }
            match left {
                None => return Ok(()),
                Some(error) if Instant::now() > until => return Err(error),
                // The kernel offers nothing to await for version 1; a killed process is gone within a few of these.
                Some(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// The workloads' cgroups below `parent`, by name.
    pub(super) fn below(&self, parent: &str) -> Vec<String> {
        let mut names = self
            .dirs(parent)
            .iter()
            .filter_map(|dir| fs::read_dir(dir).ok())
            .flatten()
            .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect::<Vec<_>>();
        names.sort();
        names.dedup();
        names
    }

    /// Removes the parent itself when nothing is left below it.
    pub(super) fn remove_empty(&self, parent: &str) {
        for dir in self.dirs(parent) {
            // Another workload may just have been started in it.
            let _ = fs::remove_dir(dir);
        }
    }
}

fn kill_all(dir: &Path) -> io::Result<()> {
    if fs::write(dir.join("cgroup.kill"), "1").is_ok() {
        return Ok(());
    }
    let procs = match fs::read_to_string(dir.join("cgroup.procs")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for pid in procs.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, Signal::KILL);
    }
    Ok(())
}

fn remove(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_all(&entry.path())?;
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A line of `mountinfo`, when it is a cgroup hierarchy.
fn cgroup_mount(line: &str) -> Option<Mounted> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut words = mount.split(' ');
    let (root, point) = (words.nth(3)?, words.next()?);
    let mut filesystem = filesystem.split(' ');
    let (kind, options) = (filesystem.next()?, filesystem.nth(1)?);
    // A bind mount of a part of a hierarchy is not the hierarchy; spaces would stand as octal numbers.
    let plain = matches!(kind, "cgroup" | "cgroup2") && !point.contains('\\');
    (plain && (root == "/" || root.starts_with("/..")))
        .then(|| Mounted { at: PathBuf::from(point), options: options.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_hierarchies_by_their_lines() {
        let of = |line| cgroup_mount(line).map(|mount| (mount.at.to_str().unwrap().to_owned(), mount.options));
        assert_eq!(
            of("35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"),
            Some(("/sys/fs/cgroup/memory".to_owned(), "rw,memory".to_owned()))
        );
        assert_eq!(
            of("35 31 0:32 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw"),
            Some(("/sys/fs/cgroup".to_owned(), "rw".to_owned()))
        );
        assert_eq!(of("35 31 0:32 /x /mnt rw - cgroup2 cgroup2 rw"), None);
        assert_eq!(of("31 23 0:28 / /sys/fs/cgroup rw - tmpfs cgroup rw"), None);
    }

    #[test]
    fn limits_need_both_controllers() {
        let dir = tempfile::tempdir().unwrap();
        let unified = dir.path();
        let can = |mounts: &[(&Path, &str)]| Hierarchies::of(mounts, unified).can_limit();
        let at = Path::new("/x");
        assert!(can(&[(at, "rw,memory"), (at, "rw,pids")]) && can(&[(at, "rw,memory,pids")]));
        assert!(!can(&[(at, "rw,memory")]) && !can(&[]));
        for (controllers, enough) in [("cpu memory pids\n", true), ("memory\n", false), ("", false)] {
            fs::write(unified.join("cgroup.controllers"), controllers).unwrap();
            assert_eq!(can(&[(unified, "rw")]), enough, "{controllers}");
        }
    }
}
