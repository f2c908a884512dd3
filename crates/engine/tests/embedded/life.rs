//! Servers and supervisors come and go; workloads are found again or are wholly gone.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use futures_util::future::join_all;
use libtest_mimic::Trial;
use meshkeep_core::id::{SessionId, WorkloadId};
use meshkeep_engine::{EmbeddedConfig, EmbeddedEngine, Engine, ObservedState, Workload};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    mount::{MountFlags, UnmountFlags},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use uuid::Uuid;

use crate::place::{Place, Values, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a_closed_engine_finds_its_workloads_again", reopened),
        trial("a_killed_server_leaves_its_workloads_to_the_next", killed_server),
        trial("what_ended_meanwhile_is_told", ended_meanwhile),
        trial("a_lost_supervisor_takes_its_workload_with_it", lost_supervisor),
        trial("leftovers_without_a_record_go", leftovers),
        trial("a_reboot_of_the_host_is_told", rebooted),
        trial("a_server_killed_at_any_moment_leaves_nothing_behind", killed_anywhere),
        trial("a_supervisor_killed_at_any_moment_leaves_nothing_behind", supervisor_killed_anywhere),
        trial("forty_at_once", forty),
        trial("a_full_disk_costs_lines_only", full_disk),
        trial("an_engine_without_privileges_says_what_it_needs", unprivileged),
        trial("supervisors_stay_small_and_quiet", small),
    ]
}

const COUNTING: &str = "i=0; trap 'echo bye; exit 0' TERM; while :; do echo $i; i=$((i+1)); sleep 0.02; done";

/// The container's first process and its parent, the supervisor.
pub fn processes(workload: &Workload) -> (i32, i32) {
    let id = workload.id.to_string();
    let cgroup = find_cgroup(&id).expect("it has a cgroup");
    let procs = fs::read_to_string(format!("{cgroup}/cgroup.procs")).unwrap();
    let parent = |pid: &str| -> i32 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
    };
    let all: Vec<i32> = procs.lines().map(|pid| pid.parse().unwrap()).collect();
    let (first, supervisor) = procs
        .lines()
        .map(|pid| (pid.parse::<i32>().unwrap(), parent(pid)))
        .find(|(_, parent)| !all.contains(parent))
        .unwrap();
    (first, supervisor)
}

/// Stays with this very process, also when another one gets its number.
fn pidfd(pid: i32) -> OwnedFd {
    pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap()
}

/// Waits for the process's end. A killed process leaves its cgroup a moment before it is gone.
fn ends(process: &OwnedFd) -> bool {
    let within = Timespec { tv_sec: 10, tv_nsec: 0 };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&within)).unwrap() == 1
}

pub fn find_cgroup(id: &str) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|line| line.contains(" - cgroup")).map(|line| line.split(' ').nth(4).unwrap());
    points
        .flat_map(|point| fs::read_dir(point).unwrap())
        .map(|entry| entry.unwrap().path().join(id))
        .find(|path| path.is_dir())
        .map(|path| path.to_str().unwrap().to_owned())
}

async fn counted_to(place: &Place, workload: &Workload) -> u32 {
    let log = place.log(workload).await;
    let numbers: Vec<u32> = log.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(numbers.iter().copied().eq(0..numbers.len() as u32), "no gap and no repetition: {log}");
    numbers.len() as u32
}

async fn reopened(place: &mut Place) {
    let workload = place.shell("counts", COUNTING);
    place.start(&workload, &[]).await.unwrap();
    place.wait_for_line(&workload, "3").await;
    let before = (place.observed(&workload).await.unwrap(), processes(&workload));
    place.reopened(place.config.clone()).await;
    let after = place.observed(&workload).await.unwrap();
    assert_eq!((&after.state, after.started_at), (&ObservedState::Running, before.0.started_at));
    assert_eq!((after.session, after.attempt, after.address), (workload.session, 0, before.0.address));
    assert_eq!(processes(&workload), before.1);
    // Known as running: not started again.
    let values = Values::new(&[]);
    place.engine.ensure(&workload, &values).await.unwrap();
    assert_eq!(values.delivered.into_inner(), 0);
    let count = counted_to(place, &workload).await;
    place.wait_for_line(&workload, &(count + 2).to_string()).await;
    place.engine.stop(workload.id, Duration::from_secs(20)).await.unwrap();
    assert_eq!(place.code(&workload).await, 0);
    counted_to(place, &workload).await;
    assert!(place.log(&workload).await.ends_with("bye\n"));
}

/// A server of its own that starts one workload, says so, and waits to be killed: `server ROOT LAYER SESSION ID`.
pub fn server() -> ExitCode {
    let [root, layer, session, id] = std::env::args().skip(2).collect::<Vec<_>>().try_into().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut place = Place::at(root.into()).await;
        place.session = SessionId::from_uuid(Uuid::parse_str(&session).unwrap());
        let mut workload = place.of_layer("counts", &["/bin/sh", "-c", COUNTING], layer.into());
        workload.id = WorkloadId::from_uuid(Uuid::parse_str(&id).unwrap());
        place.start(&workload, &[("KEY", "value")]).await.unwrap();
        println!("started");
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

async fn killed_server(place: &mut Place) {
    let workload = place.shell("counts", COUNTING);
    let mut server = spawn_server(place, &workload);
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let before = (line == "started\n").then(|| processes(&workload));
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(line, "started\n");
    place.reopened(place.config.clone()).await;
    assert_eq!(place.observed(&workload).await.unwrap().state, ObservedState::Running);
    assert_eq!(Some(processes(&workload)), before);
    let count = counted_to(place, &workload).await;
    place.wait_for_line(&workload, &(count + 2).to_string()).await;
    counted_to(place, &workload).await;
}

async fn ended_meanwhile(place: &mut Place) {
    let exits = place.shell("exits", "read line </proc/self/cmdline; echo up; sleep 0.3; exit 42");
    place.start(&exits, &[]).await.unwrap();
    let root = place.config.root.clone();
    place.closed();
    // Its exit record is what a server that was away finds.
    let record = root.join("workloads").join(exits.id.to_string()).join("exit.json");
    while !record.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    place.reopened(place.config.clone()).await;
    assert_eq!(place.code(&exits).await, 42);
    assert_eq!(place.log(&exits).await, "up\n");
}

async fn lost_supervisor(place: &mut Place) {
    for server_is_away in [false, true] {
        let mut workload = place.shell("counts", COUNTING);
        place.start(&workload, &[]).await.unwrap();
        place.wait_for_line(&workload, "1").await;
        let (first, supervisor) = processes(&workload);
        let first = pidfd(first);
        if server_is_away {
            place.closed();
        }
        kill_process(Pid::from_raw(supervisor).unwrap(), Signal::KILL).unwrap();
        if server_is_away {
            place.reopened(place.config.clone()).await;
        }
        let ObservedState::Failed(reason) = place.ended(&workload).await else { panic!("it was lost") };
        assert_eq!(reason.code, "supervisor_lost");
        assert!(find_cgroup(&workload.id.to_string()).is_none());
        assert!(ends(&first), "its process outlived it");
        // The same attempt may be made again.
        workload.command = Some(["echo".to_owned(), "again".to_owned()].to_vec());
        place.start(&workload, &[]).await.unwrap();
        assert_eq!(place.code(&workload).await, 0);
    }
}

async fn leftovers(place: &mut Place) {
    let workload = place.shell("counts", COUNTING);
    place.start(&workload, &[]).await.unwrap();
    let (first, supervisor) = processes(&workload);
    let left = [pidfd(first), pidfd(supervisor)];
    place.closed();
    // As after a disk that lost the record: the process is still there.
    fs::remove_dir_all(place.config.root.join("workloads").join(workload.id.to_string())).unwrap();
    fs::create_dir(place.config.root.join("workloads").join(Uuid::new_v4().to_string())).unwrap();
    place.reopened(place.config.clone()).await;
    assert!(place.engine.observe().await.unwrap().is_empty());
    assert!(find_cgroup(&workload.id.to_string()).is_none());
    assert!(left.iter().all(ends), "a process is left");
}

async fn rebooted(place: &mut Place) {
    let workload = place.shell("counts", COUNTING);
    place.start(&workload, &[]).await.unwrap();
    let (_, supervisor) = processes(&workload);
    place.closed();
    kill_process(Pid::from_raw(supervisor).unwrap(), Signal::KILL).unwrap();
    // As if it had been started in another boot.
    let record = place.config.root.join("workloads").join(workload.id.to_string()).join("record.json");
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = fs::read_to_string(&record).unwrap().replace(boot_id.trim(), "another-boot");
    fs::write(&record, text).unwrap();
    place.reopened(place.config.clone()).await;
    let ObservedState::Failed(reason) = place.ended(&workload).await else { panic!("it was lost") };
    assert_eq!(reason.code, "host_rebooted");
}

fn spawn_server(place: &Place, workload: &Workload) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .arg("server")
        .args([&place.config.root, &workload.image.layers[0].path])
        .args([place.session.to_string(), workload.id.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn killed_anywhere(place: &mut Place) {
    for moment in 0..12 {
        let workload = place.shell("counts", COUNTING);
        place.closed();
        let mut server = spawn_server(place, &workload);
        tokio::time::sleep(Duration::from_millis(moment * 6)).await;
        server.kill().unwrap();
        server.wait().unwrap();
        place.reopened(place.config.clone()).await;
        // Nothing was begun, or it is known and can be ended.
        if place.observed(&workload).await.is_some() {
            place.engine.stop(workload.id, Duration::ZERO).await.unwrap();
            place.engine.remove(workload.id).await.unwrap();
        }
        place.nothing_runs().await;
    }
}

async fn supervisor_killed_anywhere(place: &mut Place) {
    let place = &*place;
    for moment in 0..12 {
        let workload = place.shell("counts", COUNTING);
        let killer = async {
            tokio::time::sleep(Duration::from_millis(moment * 3)).await;
            for pid in place.supervisors() {
                // It may have ended meanwhile.
                let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
            }
        };
        let (started, ()) = tokio::join!(place.start(&workload, &[]), killer);
        if let Err(error) = started {
            assert_eq!(error.refusal().code, "supervisor_lost", "{error}");
        }
        place.engine.stop(workload.id, Duration::ZERO).await.unwrap();
        place.engine.remove(workload.id).await.unwrap();
        place.nothing_runs().await;
        assert!(find_cgroup(&workload.id.to_string()).is_none());
    }
}

async fn forty(place: &mut Place) {
    let workloads: Vec<_> = (0..40_u8)
        .map(|number| {
            let mut workload = place.shell(&format!("many-{number}"), "echo $KEY; exec sleep 1000");
            workload.peers[0].place = number;
            workload
        })
        .collect();
    let place = &*place;
    let started = join_all(
        workloads
            .iter()
            .zip(0..)
            .map(async |(workload, number)| place.start(workload, &[("KEY", &format!("v{number}"))]).await),
    );
    for outcome in started.await {
        outcome.unwrap();
    }
    let addresses: std::collections::BTreeSet<_> =
        place.engine.observe().await.unwrap().into_iter().map(|seen| seen.address.unwrap()).collect();
    assert_eq!(addresses.len(), 40);
    for (workload, number) in workloads.iter().zip(0..) {
        place.wait_for_line(workload, &format!("v{number}")).await;
        assert_eq!(place.log(workload).await, format!("v{number}\n"));
    }
}

async fn full_disk(place: &mut Place) {
    let script = "trap 'exit 5' TERM; echo up; seq 1 100000; while :; do sleep 0.02; done";
    let workload = place.shell("chatty", script);
    let disk = Disk::new(place.path("disk"));
    let config = EmbeddedConfig { root: disk.0.join("engine"), ..place.config.clone() };
    let full = disk.0.join("full");
    place.kept.push(Box::new(disk));
    place.reopened(config).await;
    place.start(&workload, &[]).await.unwrap();
    place.wait_for_line(&workload, "up").await;
    let mut rest = fs::File::create(&full).unwrap();
    // Whatever the log leaves free.
    while rest.write_all(&[0; 4096]).is_ok() {}
    assert_eq!(place.observed(&workload).await.unwrap().state, ObservedState::Running);
    place.engine.stop(workload.id, Duration::from_secs(20)).await.unwrap();
    assert_eq!(place.code(&workload).await, 5);
}

/// A small disk, unmounted also when the test fails.
struct Disk(PathBuf);

impl Disk {
    fn new(at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        rustix::mount::mount("tmpfs", &at, "tmpfs", MountFlags::empty(), Some(c"size=256k")).unwrap();
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Opens an engine and says why it could not: `open ROOT`.
pub fn open() -> ExitCode {
    let config = EmbeddedConfig { root: std::env::args().nth(2).unwrap().into(), ..EmbeddedConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(EmbeddedEngine::open(config)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            print!("{error}");
            ExitCode::from(3)
        }
    }
}

async fn unprivileged(place: &mut Place) {
    let root = place.path("another");
    let inside = place.path("inside");
    fs::create_dir(&inside).unwrap();
    let inside = inside.to_str().unwrap();
    let chroot = format!("mount --rbind / {inside} && exec chroot {inside} \"$@\"");
    for (wrapper, said) in [
        (&["setpriv", "--reuid", "1000", "--clear-groups"][..], "needs root"),
        (&["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-all"], "needs CAP_SYS_ADMIN"),
        (&["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-all"], "needs CAP_NET_ADMIN"),
        (&["unshare", "--mount", "--propagation", "private", "sh", "-c", &chroot, "sh"], "chroot"),
    ] {
        let program = std::env::current_exe().unwrap();
        let out = Command::new(wrapper[0]).args(&wrapper[1..]).arg(program).arg("open").arg(&root).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(out.status.code(), Some(3), "{text} {}", String::from_utf8_lossy(&out.stderr));
        assert!(text.contains(said) && !text.contains('\n'), "{text}");
        assert!(!root.exists(), "nothing was made");
    }
}

async fn small(place: &mut Place) {
    let workload = place.shell("steady", "echo up; exec sleep 1000");
    place.start(&workload, &[("KEY", "a-long-secret-value")]).await.unwrap();
    place.wait_for_line(&workload, "up").await;
    let (_, supervisor) = processes(&workload);
    let rollup = fs::read_to_string(format!("/proc/{supervisor}/smaps_rollup")).unwrap();
    let anonymous = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
    let anonymous: u64 = anonymous.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(anonymous < 5 << 10, "{rollup}");
    // Nothing of the values where others could look.
    for name in ["environ", "cmdline"] {
        let bytes = fs::read(format!("/proc/{supervisor}/{name}")).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    }
    assert!(fs::read(format!("/proc/{supervisor}/environ")).unwrap().is_empty());
    let fds = fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap().count();
    assert!(fds <= 16, "{fds} descriptors");
}
