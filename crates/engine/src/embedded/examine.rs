//! Looking at the host without changing it: each thing that the engine needs, one after the other.

use std::{fs, path::Path};

use super::{EmbeddedConfig, cgroups::Hierarchies, host, ids};

/// One thing that the host should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCheck {
    /// What was looked at.
    pub what: &'static str,
    /// What was found, when it is as it should be; else what to do.
    pub found: Result<String, String>,
}

/// Looks at everything that an engine with this configuration needs.
#[must_use]
pub fn examine_host(config: &EmbeddedConfig) -> Vec<HostCheck> {
    let hierarchies = Hierarchies::find();
    let mut checks = vec![HostCheck { what: "kernel", found: kernel() }];
    for (what, tried) in host::checks(hierarchies.as_ref().ok()) {
        checks.push(HostCheck { what, found: tried.map_err(|error| error.to_string()) });
    }
    checks.push(HostCheck { what: "ids", found: ranges(config.first_id) });
    checks.push(HostCheck { what: "forwarding", found: forwarding() });
    checks.push(HostCheck { what: "open files", found: open_files() });
    checks
}

fn kernel() -> Result<String, String> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if version >= (6, 1) {
        let direct =
            if version >= (6, 12) { "layers are mounted from files" } else { "layers are mounted over loop devices" };
        Ok(format!("Linux {release}; {direct}"))
    } else {
        Err(format!("Linux {release} is too old; use 6.1 or newer"))
    }
}

/// Whether users of this host were given ids that workloads would have too (subuid(5)).
fn ranges(first: u32) -> Result<String, String> {
    let Some(last) = ids::last(first) else {
        return Err(format!("no range of ids fits above `engine.first_id` = {first}; give a smaller one"));
    };
    for file in ["/etc/subuid", "/etc/subgid"] {
        for line in fs::read_to_string(file).unwrap_or_default().lines() {
            let mut parts = line.split(':');
            let (Some(user), Some(Ok(start)), Some(Ok(count))) =
                (parts.next(), parts.next().map(str::parse::<u64>), parts.next().map(str::parse::<u64>))
            else {
                continue;
            };
            if start <= u64::from(last) && start + count > u64::from(first) {
                return Err(format!(
                    "{file} gives ids {start} to {} to {user}, and workloads would have some of them; set `first_id` under [engine] to a free range",
                    start + count.saturating_sub(1)
                ));
            }
        }
    }
    Ok(format!("{first} to {last} are workloads'"))
}

/// Turned on with the first session, and back when the last one ends; here only whether that can be done.
fn forwarding() -> Result<String, String> {
    let path = Path::new("/proc/sys/net/ipv4/ip_forward");
    let now =
        fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}; mount /proc", path.display()))?;
    match rustix::fs::access(path, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Ok(if now.trim() == "1" { "on" } else { "off until a session needs it" }.to_owned()),
        Err(_) if now.trim() == "1" => Ok("on".to_owned()),
        Err(_) => {
            Err("net.ipv4.ip_forward is off and cannot be written; run `sysctl -w net.ipv4.ip_forward=1`".to_owned())
        }
    }
}

fn open_files() -> Result<String, String> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    match limit {
        Some(limit) if limit < 4096 => Err(format!(
            "{limit} at most; some 100 services fit: raise the hard limit, such as with `LimitNOFILE=1048576`"
        )),
        Some(limit) => Ok(format!("{limit} at most")),
        None => Ok("as many as it takes".to_owned()),
    }
}
