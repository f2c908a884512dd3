//! The server is killed at random moments while sessions launch and stop and secrets change: what it acknowledged is
//! there, what ran goes on, and nothing is left behind.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt as _,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    leftovers,
    process::{Running, eventually, is_full, text},
    server::{Server, id, workload},
};

const COUNTS: &str =
    "command: sh -c 'trap \"exit 0\" TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done'";

/// Lines that come one after the other, none left out: how many.
#[track_caller]
fn gapless(server: &Server, session: &str) -> usize {
    let log = server.log(session, "counts");
    for (number, line) in (1..).zip(log.lines()) {
        assert_eq!(line, format!("line {number}"), "a gap in the log");
    }
    log.lines().count()
}

/// What the server has acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// The newest version of the secret that changes.
    version: AtomicU32,
    /// Sessions, and whether their end was acknowledged.
    sessions: Mutex<BTreeMap<String, bool>>,
}

/// Saves one secret again and again until the server is gone.
fn save(server: &Server, acknowledged: &Acknowledged) {
    loop {
        let next = acknowledged.version.load(Ordering::SeqCst) + 1;
        let update = ["secret", "keys", "update", "changing", "--from-env-file", "-", "--json"];
        let output = server.cli(&update, &format!("CHANGING_VALUE=number-{next:08}-of-them\n"));
        if !output.status.success() {
            return;
        }
        let saved: Value = serde_json::from_slice(&output.stdout).unwrap();
        acknowledged.version.store(u32::try_from(saved["version"].as_u64().unwrap()).unwrap(), Ordering::SeqCst);
    }
}

/// Launches and terminates sessions in a room of its own until the server is gone.
fn launch(server: &Server, acknowledged: &Acknowledged, room: &str, over: &AtomicBool) {
    while !over.load(Ordering::SeqCst) {
        let output = server.cli(&["session", "launch", room, "--json"], "");
        // 10: launched, and a service of it did not start in time.
        if !matches!(output.status.code(), Some(0 | 10)) {
            return;
        }
        let session =
            id(&serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stdout))));
        acknowledged.sessions.lock().unwrap().insert(session.clone(), false);
        if !server.cli(&["session", "terminate", &session], "").status.success() {
            return;
        }
        acknowledged.sessions.lock().unwrap().insert(session, true);
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn a_server_killed_at_random_moments_loses_nothing_and_leaves_nothing_behind() {
    let rounds = if is_full() { 300 } else { 30 };
    let mut server = Server::new();
    let key = server.secret("weather-keys", "WEATHER_API_KEY=sixteen-or-more-of-them\n");
    server.secret("changing", "CHANGING_VALUE=number-00000001-of-them\n");
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("counts", &format!("image: {image}\npull_secret: {pull}\nsecrets: [{key}]\n{COUNTS}"));
    let stays = server.launch("stays");
    server.until_ready(&stays);
    let started = workload(&server.session(&stays), "counts")["started_at"].clone();
    let acknowledged = Acknowledged::default();
    acknowledged.version.store(1, Ordering::SeqCst);
    let (mut numbers, mut lines, mut launched) = (Numbers(2026), 0, Vec::new());
    for round in 0..rounds {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (server, acknowledged, over) = (&server, &acknowledged, &over);
            scope.spawn(move || save(server, acknowledged));
            for room in ["one", "two"] {
                scope.spawn(move || launch(server, acknowledged, room, over));
            }
            // The moment of the crash.
            std::thread::sleep(Duration::from_millis(numbers.below(700)));
            over.store(true, Ordering::SeqCst);
            let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
        });
        server.stop(Signal::KILL);
        server.start();

        let shown = server.json(&["secret", "show", "changing"], "");
        let (version, known) =
            (shown["version"].as_u64().unwrap(), u64::from(acknowledged.version.load(Ordering::SeqCst)));
        assert!(
            version == known || version == known + 1,
            "round {round}: {known} was acknowledged, {version} is there"
        );
        acknowledged.version.store(u32::try_from(version).unwrap(), Ordering::SeqCst);
        for (session, is_over) in std::mem::take(&mut *acknowledged.sessions.lock().unwrap()) {
            let found = server.session(&session);
            assert!(!is_over || found["state"] == "ended", "round {round}: {found}");
            launched.push(session);
        }
        let found = server.until_ready(&stays);
        let counts = workload(&found, "counts");
        assert_eq!(
            (&counts["started_at"], counts["restarts"].as_u64()),
            (&started, Some(0)),
            "round {round}: {counts}"
        );
        let now = gapless(&server, &stays);
        assert!(now >= lines, "round {round}");
        lines = now;
        // A room has one session at most: the next launch must not find a broken one.
        for session in active(&server).into_iter().filter(|session| *session != stays) {
            server.ok(&["session", "terminate", &session], "");
            launched.push(session);
        }
    }
    launched.sort();
    launched.dedup();
    assert!(launched.len() > rounds / 3, "{} sessions in {rounds} rounds", launched.len());
    eprintln!("{} sessions and {} saves in {rounds} rounds", launched.len(), acknowledged.version.into_inner());
    assert_eq!(server.complaints(&[]), Vec::<String>::new());
    server.ok(&["session", "terminate", "--all"], "");
    launched.iter().for_each(|session| server.adopt(session));
    nothing_of_the_engine_is_left(&server);
    server.end();
}

fn active(server: &Server) -> Vec<String> {
    let list = server.json(&["session", "list"], "");
    let all = list["sessions"].as_array().into_iter().flatten();
    all.filter(|session| session["is_active"] == true).map(id).collect()
}

/// Records of ranges, networks and workloads, temporary files of images, half made backups: none when nothing runs.
fn nothing_of_the_engine_is_left(server: &Server) {
    let data = server.data_dir();
    eventually("an empty engine", || {
        let mut left = Vec::new();
        for part in ["engine/workloads", "engine/networks", "engine/stage", "images/tmp"] {
            let entries = fs::read_dir(data.join(part)).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path()));
        }
        let entries = fs::read_dir(&data).into_iter().flatten().flatten();
        left.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.file_name().unwrap().as_encoded_bytes().starts_with(b".")),
        );
        left.extend(loop_devices(&data.display().to_string()).into_iter().map(Into::into));
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

/// Loop devices whose file is below a directory.
fn loop_devices(dir: &str) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let backing = devices.filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    backing.filter(|file| file.starts_with(dir)).collect()
}

/// A supervisor is killed: its container goes with it, the workload is reported as failed, cleaned up and started again.
#[test]
fn a_supervisor_that_is_killed_is_reported_cleaned_up_and_replaced() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    server.service("counts", &format!("image: {image}\npull_secret: {pull}\n{COUNTS}"));
    let session = server.launch("lobby");
    server.until_ready(&session);
    for restarts in 1..=3 {
        let supervisors = leftovers::supervisors(&session);
        let before = leftovers::processes(&session);
        assert_eq!(supervisors.len(), 1, "{supervisors:?}");
        let begun = Instant::now();
        for pid in &supervisors {
            kill_process(Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap(), Signal::KILL).unwrap();
        }
        eventually("the end of its container", || {
            let left: Vec<_> = leftovers::processes(&session).into_iter().filter(|pid| before.contains(pid)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
        let found = server.until(&session, "the restart", |session| {
            let counts = workload(session, "counts");
            counts["restarts"].as_u64() == Some(restarts) && counts["state"] == "ready"
        });
        assert!(begun.elapsed() < Duration::from_secs(30), "{found}");
    }
    let events = server.ok(&["session", "events", &session], "");
    assert!(events.contains("workload_lost") || events.contains("lost"), "{events}");
    server.end();
}

/// Both at once: the server and all supervisors, as the kernel's memory killer might.
#[test]
fn a_server_killed_with_its_supervisors_starts_everything_again() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    for name in ["counts", "other"] {
        server.service(name, &format!("image: {image}\npull_secret: {pull}\n{COUNTS}"));
    }
    let session = server.launch("lobby");
    server.until_ready(&session);
    let supervisors = leftovers::supervisors(&session);
    assert_eq!(supervisors.len(), 2);
    let pids = supervisors.iter().chain([&server.pid()]).map(ToString::to_string).collect::<Vec<_>>();
    let killed = std::process::Command::new("kill").arg("-KILL").args(pids).status().unwrap();
    assert!(killed.success() && killed.signal().is_none());
    server.stop(Signal::KILL);
    server.start();
    let found = server.until(&session, "both again", |session| {
        ["counts", "other"].iter().all(|name| {
            let found = workload(session, name);
            found["restarts"].as_u64() == Some(1) && found["state"] == "ready"
        })
    });
    assert_eq!(found["state"], "ready");
    assert_eq!(leftovers::supervisors(&session).len(), 2);
    server.end();
}

/// Killed while it starts: neither the database nor a copy of it suffers or stays.
#[test]
fn a_server_killed_while_it_starts_leaves_no_copy_of_its_database() {
    let rounds = if is_full() { 100 } else { 20 };
    let mut server = Server::new();
    server.secret("weather-keys", "WEATHER_API_KEY=sixteen-or-more-of-them\n");
    server.stop(Signal::TERM);
    let copies = server.place().join("copies");
    fs::create_dir(&copies).unwrap();
    server.environment = vec![("TMPDIR".to_owned(), copies.display().to_string())];
    let count = || fs::read_dir(&copies).unwrap().count();
    let mut left = 0;
    for round in 0..rounds {
        let mut starting = server.operator(&["serve", "--data-dir", "data", "--listen", "127.0.0.1:0"]);
        let mut starting = Running::start(&mut starting);
        let begun = Instant::now();
        // Every other one in the moment in which its copy is there, when that is not missed.
        let missed = || begun.elapsed() > Duration::from_millis(500);
        while begun.elapsed() < Duration::from_millis(3 * round) || (round % 2 == 0 && count() == 0 && !missed()) {
            std::hint::spin_loop();
        }
        starting.end(Signal::KILL);
        left += count();
    }
    assert!(left > 0, "none was killed while its copy was there");
    server.start();
    assert_eq!(count(), 0);
    assert!(server.ok(&["secret", "list"], "").contains("weather-keys"));
    assert_eq!(server.complaints(&[]), Vec::<String>::new());
    server.end();
}
