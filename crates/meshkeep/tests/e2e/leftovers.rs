//! What sessions could leave on the host: processes, mounts, cgroups, links, directories of workloads.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Processes of a session: those that have its id in their environment.
pub fn processes(session: &str) -> Vec<u32> {
    let needle = format!("MESHAGENT_SESSION_ID={session}");
    let has = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == needle.as_bytes())
    };
    entries(Path::new("/proc")).iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok()).filter(has).collect()
}

/// The supervisors of a session's workloads.
pub fn supervisors(session: &str) -> BTreeSet<u32> {
    let parent = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let is_ours = |pid: &u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|word| word == b"runtime-child")
    };
    processes(session).into_iter().filter_map(parent).filter(is_ours).collect()
}

/// Everything that is left of these sessions of the server on this data directory.
pub fn of(sessions: &[String], data_dir: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for session in sessions {
        left.extend(processes(session).into_iter().map(|pid| format!("process {pid} of session {session}")));
    }
    let dir = data_dir.display().to_string();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    left.extend(mounts.lines().filter(|line| line.contains(&dir)).map(|line| format!("mount {line}")));
    for name in ["engine/workloads", "engine/sessions"] {
        left.extend(entries(&data_dir.join(name)).iter().map(|path| path.display().to_string()));
    }
    left
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
