//! Processes that hold values crash: no core is written, to a file or through a pipe. `core_pattern` is the host's, so
//! tests take turns with it, and a child of its own puts it back whatever becomes of the test.

use std::{
    fs::{self, File},
    io::Read as _,
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rustix::{
    fs::{FlockOperation, flock},
    process::Signal,
};

use crate::{
    canary_search::{Search, core},
    leftovers,
    process::{crash, eventually},
    server::{Server, workload},
};

const PATTERN: &str = "/proc/sys/kernel/core_pattern";

/// The pattern of this test, until this is dropped.
struct CorePattern {
    restores: Child,
}

impl CorePattern {
    /// None where the host does not let us.
    fn take() -> Option<Self> {
        fs::OpenOptions::new().write(true).open(PATTERN).ok()?;
        let lock = File::create("/tmp/meshkeep-core-pattern.lock").expect("the lock can be made");
        flock(&lock, FlockOperation::LockExclusive).expect("the lock can be taken");
        let before = fs::read_to_string(PATTERN).expect("it can be read");
        // Its input ends with the test, its output holds the lock until it is done.
        let script = format!("trap '' INT TERM HUP; read end; printf '%s\\n' \"$0\" >{PATTERN}");
        let mut restores = Command::new("sh");
        restores.args(["-c", &script, before.trim_end()]).process_group(0);
        let restores = restores.stdin(Stdio::piped()).stdout(lock).spawn().expect("a shell starts");
        Some(Self { restores })
    }

    fn set(&self, pattern: &str) {
        fs::write(PATTERN, pattern).unwrap_or_else(|error| panic!("{PATTERN}: {error}"));
    }
}

impl Drop for CorePattern {
    fn drop(&mut self) {
        drop(self.restores.stdin.take());
        let _ = self.restores.wait();
    }
}

/// Takes the cores that the kernel pipes away into files of `dir`. The kernel starts the other end of the pipe in the
/// root of the host's first process (core(5)), which need not be the test's: so that end is a shell that every Debian
/// has, and sends the core to a port.
struct Piped {
    port: u16,
    takes: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
}

impl Piped {
    fn into(dir: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let takes = std::thread::spawn(move || {
            for (number, core) in listener.incoming().enumerate() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let mut bytes = Vec::new();
                core.expect("a connection").read_to_end(&mut bytes).expect("the core arrives");
                fs::write(dir.join(format!("piped-{number}")), bytes).expect("the place can be written");
            }
        });
        Self { port, takes: Some(takes), over }
    }

    fn pattern(&self) -> String {
        format!("|/bin/bash -c cat>/dev/tcp/127.0.0.1/$0 {}", self.port)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let woken = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        let took = self.takes.take().filter(|_| woken).is_some_and(|takes| takes.join().is_ok());
        assert!(took || std::thread::panicking(), "cores were not taken");
    }
}

/// A process that may dump, and does: so would ours. Its dump has ended when this returns.
fn control(dir: &Path, value: &str, known: &[PathBuf]) -> PathBuf {
    let mut crashes = Command::new("sh");
    crashes.args(["-c", "ulimit -c unlimited; kill -SEGV $$"]).env("CONTROL", value).current_dir(dir);
    crashes.spawn().expect("a shell starts").wait().expect("a child can be waited for");
    let search = Search::new(&[value]);
    eventually("the control's core", || {
        let core = search.under(dir).into_iter().find(|core| !known.contains(core));
        core.ok_or_else(|| "nothing is written".to_owned())
    })
}

/// What protects a process that holds values, as the kernel says it.
fn is_limited(pid: u32) -> bool {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap_or_default();
    core.split_whitespace().take(2).eq(["1", "1"])
}

#[test]
fn crashes_leave_no_core_with_a_value() {
    let (value, own) = (core(), core());
    let mut server = Server::new();
    let key = server.secret("keys", &format!("VALUE={value}\n"));
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    let common = format!("image: {image}\npull_secret: {pull}\nsecrets: [{key}]");
    server.service(
        "stays",
        &format!("{common}\ncommand: sh -c 'sh -c \"kill -SEGV \\$\\$\"; echo child $?; exec sleep 1000'"),
    );
    server.service("aborts", &format!("{common}\ncommand: sh -c 'sh -c \"kill -ABRT \\$\\$\"; exit 134'"));
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let place = dir.path().display().to_string();
    let piped = Piped::into(dir.path().to_owned());
    let patterns = [format!("{place}/core-%P"), piped.pattern()];
    let pattern = CorePattern::take();
    if pattern.is_none() {
        eprintln!("{PATTERN} cannot be written here: only limits are looked at, and crashes without a pattern of ours");
    }
    let mut expected = Vec::new();
    for (round, text) in patterns.iter().enumerate() {
        if let Some(pattern) = &pattern {
            pattern.set(text);
            expected.push(control(dir.path(), &own, &expected));
        }
        let session = server.launch(&format!("room-{round}"));
        for signal in [Signal::SEGV, Signal::ABORT] {
            crash_all(&mut server, &session, signal);
        }
        // The kernel writes one after the other: what was begun before is there as well.
        if pattern.is_some() {
            expected.push(control(dir.path(), &own, &expected));
        }
    }
    drop((pattern, piped));
    let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(Search::new(&[&value]).under(dir.path()).is_empty(), "a core has the value");
    let strangers = |path: &PathBuf| {
        !expected.contains(path) && Search::new(&["meshkeep"]).files(std::slice::from_ref(path)).is_empty()
    };
    left.retain(|path| !strangers(path));
    left.sort();
    expected.sort();
    assert_eq!(left, expected, "a process of ours has dumped");
    server.end();
}

/// The server, a supervisor and a service's process.
fn crash_all(server: &mut Server, session: &str, signal: Signal) {
    server.until(session, "readiness", |session| workload(session, "stays")["state"] == "ready");
    eventually("the crash in the service", || match server.log(session, "stays") {
        log if log.contains("child 139") => Ok(()),
        log => Err(log),
    });
    // After a crash of both, the state is that of before until the new server has looked.
    let supervisors = eventually("a supervisor", || match leftovers::supervisors(session) {
        found if found.is_empty() => Err("none is found".to_owned()),
        found => Ok(found),
    });
    for pid in supervisors.iter().copied().chain(leftovers::processes(session)).chain([server.pid()]) {
        assert!(is_limited(pid) || !Path::new(&format!("/proc/{pid}")).exists(), "process {pid} may dump");
    }
    server.crash(signal);
    for pid in supervisors {
        crash(pid, signal);
    }
    server.start();
}
