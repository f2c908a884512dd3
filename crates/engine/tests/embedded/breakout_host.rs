//! What others on the host get of a service, and what somebody gets who plays with its supervisor's socket and log.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{fs::symlink, net::UnixStream},
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use futures_util::StreamExt as _;
use libtest_mimic::Trial;
use meshkeep_engine::{Engine as _, Workload};

use crate::{
    life::{find_cgroup, processes},
    place::{PATIENCE, Place, trial},
};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("values_stay_with_their_service", values_stay),
        trial("every_namespace_is_its_own", namespaces),
        trial("limits_are_set_in_the_cgroups", cgroup_limits),
        trial("a_log_that_is_a_link_is_not_followed", log_link),
        trial("aborted_connections_leave_nothing_behind", aborted),
    ]
}

const CANARY: &str = "canary-7Kq2-of-this-test-only";

async fn running(place: &Place, name: &str, value: &str) -> Workload {
    let workload = place.shell(name, "echo up; exec sleep 1000");
    place.start(&workload, &[("KEY", value)]).await.unwrap();
    place.wait_for_line(&workload, "up").await;
    workload
}

async fn values_stay(place: &mut Place) {
    let canary = format!("{CANARY}-{}", place.session);
    let own = running(place, "own", &canary).await;
    let other = running(place, "other", "something-else").await;
    let (first, supervisor) = processes(&own);
    let (stranger, _) = processes(&other);
    let holds = |path: &Path| fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&canary));
    assert!(holds(Path::new(&format!("/proc/{first}/environ"))), "root on the host reads it, and so would this test");

    // Of all processes of the host, in their environment or arguments, only the service's own hold the value.
    let mut holders = Vec::new();
    for process in fs::read_dir("/proc").unwrap() {
        let dir = process.unwrap().path();
        holders.extend(["environ", "cmdline"].map(|name| dir.join(name)).into_iter().filter(|path| holds(path)));
    }
    assert_eq!(holders, [PathBuf::from(format!("/proc/{first}/environ"))]);
    assert!(fs::read(format!("/proc/{supervisor}/environ")).unwrap().is_empty());

    // Neither another workload's root nor any user of the host may look into it or its supervisor, or stop them.
    let uid = owner(stranger);
    assert_ne!(uid, owner(first), "each workload has ids of its own");
    for user in [uid, uid + 1000, 1000, 65534] {
        for pid in [first, supervisor] {
            for name in ["environ", "mem", "maps", "fd/1", "root/etc/passwd", "auxv", "syscall"] {
                let path = format!("/proc/{pid}/{name}");
                assert!(!succeeds_as(user, &["head", "-c", "1", &path]), "{user} read {path}");
            }
            for name in ["cwd", "exe", "root", "ns/net"] {
                assert!(!succeeds_as(user, &["readlink", &format!("/proc/{pid}/{name}")]), "{user}: {name} of {pid}");
            }
            assert!(!succeeds_as(user, &["kill", "-0", &pid.to_string()]), "{user} reached {pid}");
        }
        let root = place.config.root.display().to_string();
        assert!(!succeeds_as(user, &["ls", &format!("{root}/workloads")]), "{user} lists {root}");
    }
    // The attempts are real: what is its own it reaches.
    assert!(succeeds_as(uid, &["kill", "-0", &stranger.to_string()]));
    assert!(succeeds_as(uid, &["head", "-c", "1", "/proc/self/maps"]));
}

/// The host's id of a process's user.
fn owner(pid: i32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn succeeds_as(user: u32, command: &[&str]) -> bool {
    let user = user.to_string();
    let words = ["--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"];
    let out = Command::new("setpriv").args(words).args(command).output().unwrap();
    out.status.success()
}

async fn namespaces(place: &mut Place) {
    let own = running(place, "own", "some-value").await;
    let other = running(place, "other", "some-value").await;
    let (first, supervisor) = processes(&own);
    let (stranger, _) = processes(&other);
    for kind in ["user", "pid", "mnt", "ipc", "uts", "cgroup", "net"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        let mine = of(&first.to_string());
        assert_ne!(mine, of("self"), "{kind} of the host");
        assert_ne!(mine, of(&stranger.to_string()), "{kind} of another workload");
        // The network was made by the supervisor, so that the container may not change it.
        assert_eq!(mine == of(&supervisor.to_string()), kind == "net", "{kind} of the supervisor");
    }
}

async fn cgroup_limits(place: &mut Place) {
    let mut workload = place.shell("limited", "echo up; exec sleep 1000");
    workload.limits.memory_bytes = 48 << 20;
    workload.limits.pids = 37;
    place.start(&workload, &[]).await.unwrap();
    place.wait_for_line(&workload, "up").await;
    let (first, _) = processes(&workload);
    // A line is `number:controllers:path`; the mount points are named as the controllers are.
    let groups = fs::read_to_string(format!("/proc/{first}/cgroup")).unwrap();
    let setting = |controller: &str, name: &str| {
        groups.lines().find_map(|line| {
            let (_, line) = line.split_once(':')?;
            let (controllers, path) = line.split_once(':')?;
            let mount = if controllers.split(',').any(|one| one == controller) { controllers } else { "" };
            if mount.is_empty() && !controllers.is_empty() {
                return None;
            }
            let text = fs::read_to_string(format!("/sys/fs/cgroup/{mount}{path}/{name}")).ok()?;
            Some(text.trim().to_owned())
        })
    };
    let memory = setting("memory", "memory.max").or_else(|| setting("memory", "memory.limit_in_bytes"));
    assert_eq!(memory.as_deref(), Some("50331648"));
    assert_eq!(setting("pids", "pids.max").as_deref(), Some("37"));
    // Memory and swap together are no more than the memory: no swap. Kernels without swap have neither file.
    let swap = setting("memory", "memory.swap.max").map(|swap| swap == "0");
    let both = setting("memory", "memory.memsw.limit_in_bytes").map(|both| both == "50331648");
    assert!(swap.or(both).unwrap_or(true), "{swap:?} {both:?}");
    assert!(find_cgroup(&workload.id.to_string()).is_some());
}

async fn log_link(place: &mut Place) {
    let workload = place.shell("logs", "echo up");
    assert_eq!(place.output(&workload).await, "up\n");
    let secret = place.path("secret");
    fs::write(&secret, "of the host\n").unwrap();
    for name in ["log", "log.1"] {
        let log = place.config.root.join(format!("workloads/{}/{name}", workload.id));
        let _ = fs::remove_file(&log);
        symlink(&secret, &log).unwrap();
        let read = match place.engine.logs(workload.id, None, false).await {
            Ok(stream) => stream.map(|chunk| chunk.map_or_else(|_| Vec::new(), |chunk| chunk.bytes)).concat().await,
            Err(_) => Vec::new(),
        };
        assert!(read.is_empty(), "{}", String::from_utf8_lossy(&read));
        // Nor is it written through.
        let mut again = workload.clone();
        again.attempt = 1;
        let _ = place.start(&again, &[]).await;
        assert_eq!(fs::read_to_string(&secret).unwrap(), "of the host\n");
        let _ = fs::remove_file(&log);
    }
}

/// Whether raised counts are asked for.
#[expect(clippy::disallowed_methods, reason = "the test's own switch, which scripts/test sets")]
fn full() -> bool {
    std::env::var_os("MESHKEEP_TEST_FULL").is_some()
}

async fn aborted(place: &mut Place) {
    let (connections, follows) = if full() { (10_000, 1_000) } else { (2_000, 300) };
    let workload = running(place, "steady", "a-long-secret-value").await;
    let (_, supervisor) = processes(&workload);
    let dir = fs::File::open(place.config.root.join(format!("workloads/{}", workload.id))).unwrap();
    let socket = format!("/proc/self/fd/{}/socket", dir.as_raw_fd());
    let connect = || {
        let stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let abort = |number: usize| {
        let mut stream = connect();
        // Half of them go before they were served; of the others half read all that they are told, so that their
        // connection ends in order, and half do not, which resets it.
        if number.is_multiple_of(2) {
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            if number.is_multiple_of(4) {
                let told = usize::try_from(u32::from_be_bytes(length)).unwrap();
                stream.read_exact(&mut vec![0; told]).unwrap();
            }
        }
        // Some say nothing, some half a message, some nonsense, some announce more than they send.
        let said: &[u8] = [&b""[..], &[0, 0], &[0, 0, 0, 2, b'{', b'}'], &[0xFF; 64], &[0, 0, 1, 0, b'{']][number % 5];
        let _ = stream.write_all(said);
    };
    let figures = || {
        // Served in the order they came: when this one is answered, all before it were dealt with.
        connect().read_exact(&mut [0; 4]).unwrap();
        let fds = fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap().count();
        let rollup = fs::read_to_string(format!("/proc/{supervisor}/smaps_rollup")).unwrap();
        let memory = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
        (fds, memory.trim().trim_end_matches(" kB").parse::<u64>().unwrap())
    };
    (0..100).for_each(abort);
    let before = figures();
    (0..connections).for_each(abort);
    let after = figures();
    assert!(after.0 <= before.0 + 8 && after.1 <= before.1 + 256, "descriptors and KiB: {before:?}, then {after:?}");

    let ours = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = ours();
    for _ in 0..follows {
        let mut stream = place.engine.logs(workload.id, None, true).await.unwrap();
        stream.next().await.unwrap().unwrap();
    }
    // One that stayed would hold more than one; other tests of this program run at the same time.
    assert!(ours() < before + follows, "{before}, then {}", ours());
    // It serves whoever comes in earnest.
    place.reopened(place.config.clone()).await;
    place.engine.stop(workload.id, Duration::ZERO).await.unwrap();
}
