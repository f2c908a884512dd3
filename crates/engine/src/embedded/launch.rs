//! From a workload to the launch that its supervisor gets: what Docker's users expect of command, directory, signal and
//! names, decided once, without touching the image.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use meshkeep_core::{Refusal, RefusalKind};

use super::{
    net::{SERVER_NAME, SessionNetwork},
    proto::{self, Launch, LaunchLimits, Mount},
};
use crate::{ExtraCapability, Peer, Workload};

/// The least memory that a container can be made with.
const LEAST_MEMORY: u64 = 8 << 20;

/// What the engine adds to a workload.
pub(super) struct Place {
    /// The workload's directory.
    pub dir: PathBuf,
    /// The engine's empty directory.
    pub stage: PathBuf,
    /// See [`Launch`].
    pub force_loop: bool,
    /// See [`Launch`].
    pub id_base: u32,
    /// The session's network.
    pub network: SessionNetwork,
    /// The workload's place there.
    pub place: u8,
    /// See [`Launch`].
    pub cgroup: String,
    /// The workload's mounts, with what is stored made.
    pub mounts: Vec<Mount>,
    /// See [`Launch`].
    pub storage_base: u32,
}

/// The workload's place on its session's network.
pub(super) fn place_of(workload: &Workload) -> Result<u8, Refusal> {
    let own = workload.peers.iter().find(|peer| peer.name == workload.service_name);
    own.map(|peer| peer.place).ok_or_else(|| {
        let message = format!("the service {} has no place in its session", workload.service_name);
        Refusal::new(RefusalKind::Broken, "no_place", message)
    })
}

/// Assembles the launch.
pub(super) fn launch(workload: &Workload, place: Place) -> Result<Launch, Refusal> {
    let config = &workload.image.config;
    let args = workload.command.clone().unwrap_or_else(|| [&config.entrypoint[..], &config.cmd].concat());
    if args.first().is_none_or(String::is_empty) {
        let message = format!("the image {} says no command", workload.image.reference);
        return Err(
            Refusal::new(RefusalKind::Invalid, "unknown_command", message).hint("give one with `container.command`")
        );
    }
    if workload.limits.memory_bytes < LEAST_MEMORY {
        return Err(Refusal::new(
            RefusalKind::Invalid,
            "over_a_limit",
            "no container fits in less than 8 MiB of memory",
        )
        .hint("raise the annotation `meshkeep.memory`"));
    }
    let hosts = hosts(&workload.peers, &place.network);
    Ok(Launch {
        version: proto::VERSION,
        workload: workload.id,
        attempt: workload.attempt,
        dir: place.dir,
        stage: place.stage,
        layers: workload.image.layers.iter().map(|layer| layer.path.clone()).collect(),
        force_loop: place.force_loop,
        id_base: place.id_base,
        args,
        user: config.user.clone(),
        working_dir: absolute(workload.working_dir.as_deref().unwrap_or(&config.working_dir)),
        stop_signal: stop_signal(&config.stop_signal)?,
        writable_root: workload.writable_root,
        mounts: place.mounts,
        storage_base: place.storage_base,
        capabilities: workload.capabilities.iter().map(|one| capability(*one).to_owned()).collect(),
        limits: LaunchLimits {
            memory_bytes: workload.limits.memory_bytes,
            pids: workload.limits.pids,
            log_bytes: workload.limits.log_bytes,
        },
        hostname: host_name(workload.service_name.as_str()),
        hosts,
        resolv_conf: resolv_conf(),
        network: place.network,
        place: place.place,
        cgroup: place.cgroup,
    })
}

const fn capability(extra: ExtraCapability) -> &'static str {
    match extra {
        ExtraCapability::Chown => "CAP_CHOWN",
        ExtraCapability::DacOverride => "CAP_DAC_OVERRIDE",
        ExtraCapability::Fowner => "CAP_FOWNER",
        ExtraCapability::Setuid => "CAP_SETUID",
        ExtraCapability::Setgid => "CAP_SETGID",
    }
}

/// A service's name as a host name.
fn host_name(service: &str) -> String {
    service.to_lowercase()
}

fn absolute(dir: &str) -> String {
    if dir.starts_with('/') { dir.to_owned() } else { format!("/{dir}") }
}

pub(super) fn hosts(peers: &[Peer], network: &SessionNetwork) -> String {
    let mut text = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{}\t{SERVER_NAME}\n", network.gateway());
    for peer in peers {
        let name = host_name(peer.name.as_str());
        if ![SERVER_NAME, "localhost"].contains(&name.as_str()) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}\t{name}", network.address(peer.place));
        }
    }
    text
}

/// The host's name servers, without those that only the host itself can reach: on its loopback, and at link-local
/// addresses, where clouds keep credentials as well, so that the firewall lets nothing through. None is better than one
/// that never answers: looking up a name then fails at once. A host that runs a stub resolver on its
/// loopback (systemd-resolved) keeps the real ones in another file.
fn resolv_conf() -> String {
    ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| reachable(&text))
        .find(|text| text.contains("nameserver "))
        .unwrap_or_default()
}

fn reachable(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines().map(str::trim) {
        let keep = match line.split_once(char::is_whitespace) {
            Some(("nameserver", server)) => {
                server.trim().parse::<IpAddr>().is_ok_and(|ip| matches!(ip, IpAddr::V4(v4) if for_services(v4)))
            }
            Some(("search" | "domain" | "options", _)) => true,
            _ => false,
        };
        if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

const fn for_services(server: Ipv4Addr) -> bool {
    !server.is_loopback() && !server.is_link_local() && !server.is_unspecified()
}

/// Says once what services would otherwise only show by failing.
pub(super) fn check_name_servers() {
    if !resolv_conf().contains("nameserver ") {
        tracing::warn!(
            "services resolve no outside names: none of the host's name servers can be reached from a session; \
             put an ordinary IPv4 one into /etc/resolv.conf"
        );
    }
}

/// `SIGTERM`, `TERM` or `15`; SIGTERM when nothing is said.
fn stop_signal(text: &str) -> Result<i32, Refusal> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;
    if text.is_empty() {
        return Ok(libc::SIGTERM);
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let from_end = |offset: &str, end: i32, sign: i32| offset.parse::<i32>().ok().map(|offset| end + sign * offset);
    let number = match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
        (Some(offset), _) => from_end(offset, *REAL_TIME.start(), 1),
        (_, Some(offset)) => from_end(offset, *REAL_TIME.end(), -1),
        _ => NAMES.iter().zip(1..).find(|(one, _)| **one == name).map(|(_, number)| number).or(name.parse().ok()),
    };
    number.filter(|number| (1..=31).contains(number) || REAL_TIME.contains(number)).ok_or_else(|| {
        Refusal::new(RefusalKind::Invalid, "bad_stop_signal", format!("the image's stop signal `{text}` is no signal"))
            .hint("correct STOPSIGNAL in the image")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("", 15),
            ("SIGTERM", 15),
            ("term", 15),
            ("9", 9),
            ("SIGQUIT", 3),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("SIGWINCH", 28),
            ("37", 37),
        ] {
            assert_eq!(stop_signal(text).ok(), Some(number), "{text}");
        }
        for text in ["SIGNOTHING", "0", "65", "32", "-1", "SIGRTMIN+90"] {
            assert_eq!(stop_signal(text).map_err(|refusal| refusal.code), Err("bad_stop_signal".to_owned()), "{text}");
        }
    }

    #[test]
    fn name_servers_of_the_host_alone_are_left_out() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver ::1\nsearch a.b\noptions edns0";
        assert_eq!(reachable(text), "nameserver 10.0.0.2\nsearch a.b\noptions edns0\n");
        let cloud = "nameserver 169.254.169.254\nsearch c.project.internal\n";
        assert_eq!(reachable(cloud), "search c.project.internal\n", "the firewall keeps services from it");
        assert_eq!(reachable("nameserver 169.254.169.253\nnameserver 10.1.0.2\n"), "nameserver 10.1.0.2\n");
    }

    #[test]
    fn the_servers_name_is_nobody_elses() {
        let network: SessionNetwork =
            serde_json::from_str(r#"{"bridge":"mk0","gateway":"10.213.0.1","prefix":26}"#).unwrap();
        let peer = |name: &str, place| Peer { name: name.parse().unwrap(), place };
        let text = hosts(&[peer("Web", 0), peer("MeshKeep", 1), peer("localhost", 2)], &network);
        assert_eq!(text, "127.0.0.1\tlocalhost\n::1\tlocalhost\n10.213.0.1\tmeshkeep\n10.213.0.2\tweb\n");
    }
}
