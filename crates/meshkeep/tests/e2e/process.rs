//! Programs that a test starts: ended with the test, whatever becomes of it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Whether `scripts/test --full` asks for the tests that take long.
#[expect(clippy::disallowed_methods, reason = "the test's own switch, which scripts/test sets")]
pub fn is_full() -> bool {
    std::env::var_os("MESHKEEP_TEST_FULL").is_some()
}

/// A program whose standard error is kept.
pub struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped"));
        let said = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
                line.clear();
            }
        });
        Self { child, said, reader: Some(reader) }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Sends a signal and waits for the end; its exit code, when it had one.
    pub fn end(&mut self, signal: Signal) -> Option<i32> {
        if self.is_alive() {
            kill_process(pid(self.child.id()), signal).expect("our own child can be signalled");
        }
        let status = self.child.wait().expect("a child can be waited for");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
        status.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).expect("a pid fits")).expect("a pid is not 0")
}

/// Sends a signal until the process is dead: Rust's own handler takes the first SIGSEGV.
#[track_caller]
pub fn crash(number: u32, signal: Signal) {
    eventually(&format!("the death of process {number}"), || {
        let status = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        if status.is_empty() || status.contains(") Z ") {
            return Ok(());
        }
        // It may be gone meanwhile.
        let _ = kill_process(pid(number), signal);
        Err("it lives".to_owned())
    });
}

/// Runs a command to its end with this on standard input.
pub fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A program that does not read its input closes it.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    child.wait_with_output().expect("a child can be waited for")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Looks again until there is something: for what another program does without telling.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if begun.elapsed() > Duration::from_secs(60) => panic!("{what} did not happen: {last}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Tells another thread that it is over, also when a check fails.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
