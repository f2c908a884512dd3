//! The supervisor's loop: one thread, one `poll`, from the launch to the end of the workload.
//!
//! What must stay true: the exit record is written and synced before anybody is told of the end; every byte that the
//! container wrote before its end is in the log by then; a server that goes away or misbehaves changes nothing for the
//! container.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    time::{Duration, Instant},
};

use meshkeep_core::{Clock, Timestamp, clock::SystemClock};
use rustix::{
    event::{PollFd, PollFlags},
    io::ioctl_fionbio,
};

use super::{
    super::{
        cgroups::Hierarchies,
        files::{self, Lasting},
        proto::{self, Command, Launch, Received, State, Status},
        sys,
    },
    bundle,
    container::{self, Built},
    exec::Door,
    fault::Doing,
    log::{LogFiles, LogStream},
    output::{Output, wait},
    servers::Server,
};
use crate::redact::Redactor;

/// What the C library says for EPERM; an image that drops privileges by itself ends with it.
const NOT_PERMITTED: &str = "Operation not permitted";

/// Seconds that a start may take; more is a disk that does not answer.
const START_PATIENCE: u32 = 120;

/// Servers that may be connected at once; one is usual, two while one replaces the other.
const MAX_SERVERS: usize = 8;

/// A workload's supervisor.
pub(super) struct Supervisor {
    dir: OwnedFd,
    listener: UnixListener,
    servers: Vec<Server>,
    status: Status,
    stop_signal: i32,
    cgroup: String,
    has_capabilities: bool,
    stop: Stop,
}

/// How far a stop has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    NotAsked,
    /// To be killed then.
    At(Instant),
    Killed,
}

impl Supervisor {
    /// Takes over the descriptors; opens the workload's directory while the host's files are still in sight.
    pub(super) fn new(launch: &Launch, control: UnixStream, listener: OwnedFd) -> io::Result<Self> {
        let listener = UnixListener::from(listener);
        listener.set_nonblocking(true)?;
        let status =
            Status { version: proto::VERSION, attempt: launch.attempt, started_at: None, state: State::Starting };
        Ok(Self {
            dir: files::open_dir(&launch.dir)?,
            listener,
            servers: vec![Server::new(control)?],
            status,
            stop_signal: launch.stop_signal,
            cgroup: launch.cgroup.clone(),
            has_capabilities: !launch.capabilities.is_empty(),
            stop: Stop::NotAsked,
        })
    }

    /// Runs the workload to its end.
    pub(super) fn run(mut self, launch: Launch, received: Received) -> io::Result<()> {
        let Received { block, bound } = received;
        // Dying is enough: the server ends what is left of a supervisor that is gone.
        sys::end_after(START_PATIENCE);
        // A second copy, for as long as the workload lives: who is let in later gets the same environment.
        let kept = block.clone();
        let built = LogFiles::open(self.dir.try_clone()?, launch.limits.log_bytes)
            .doing("opening the log")
            .and_then(|log| Ok((container::build(&launch, block)?, log)));
        match built {
            Ok((built, log)) => {
                let redactor = Redactor::new(bound);
                let streams = [LogStream::new(redactor.clone()), LogStream::new(redactor)];
                let door = Door::new(&launch, &built, kept);
                drop(launch);
                self.supervise(built, door, Output { streams, log })
            }
            Err(fault) => self.end(State::Failed { reason: fault.into_refusal() }),
        }
    }

    fn supervise(&mut self, mut built: Built, mut door: Door, mut output: Output) -> io::Result<()> {
        if let Err(fault) = built.start() {
            sys::pidfd_signal(built.pidfd.as_fd(), libc::SIGKILL)?;
            sys::reap(built.pid)?;
            return self.end(State::Failed { reason: fault.into_refusal() });
        }
        // The kernel closes this pipe when the command starts, so this waits for one exec and no longer.
        let failed = container::told(&mut built.report);
        if let Some(fault) = failed {
            sys::reap(built.pid)?;
            return self.end(State::Failed { reason: fault.into_refusal() });
        }
        sys::end_after(0);
        self.status.started_at = Some(now());
        self.tell(State::Running);
        let Built { pid, pidfd, stdout, stderr, .. } = built;
        let mut pipes = [Some(File::from(stdout)), Some(File::from(stderr))];
        for pipe in pipes.iter().flatten() {
            ioctl_fionbio(pipe, true)?;
        }
        while !self.turn(&pidfd, &mut pipes, &mut output, &mut door)? {}
        let code = sys::reap(pid)?;
        door.shut();
        let at = now();
        output.last_words(&mut pipes)?;
        let hint = self.hint(code, &output.log);
        self.end(State::Exited { code, at, hint })
    }

    /// Waits for one thing to happen and deals with it; whether the container has ended.
    fn turn(
        &mut self,
        pidfd: &OwnedFd,
        pipes: &mut [Option<File>; 2],
        output: &mut Output,
        door: &mut Door,
    ) -> io::Result<bool> {
        let timeout = match self.stop {
            Stop::At(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Stop::NotAsked | Stop::Killed => None,
        };
        let mut fds = vec![PollFd::new(pidfd, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        // A stream that has ended is not polled; the place stays.
        fds.extend(pipes.iter().map(|pipe| match pipe {
            Some(pipe) => PollFd::new(pipe, PollFlags::IN),
            None => PollFd::new(pidfd, PollFlags::empty()),
        }));
        fds.extend(self.servers.iter().map(|server| PollFd::new(&server.stream, PollFlags::IN)));
        fds.extend(door.inside().map(|guest| PollFd::from_borrowed_fd(guest, PollFlags::IN)));
        wait(&mut fds, timeout)?;
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        for (number, pipe) in pipes.iter_mut().enumerate() {
            if ready[2 + number] && pipe.is_some() {
                output.pump(number, pipe)?;
            }
        }
        door.reap();
        self.serve(&ready[4..], pidfd.as_fd(), door)?;
        if ready[1] {
            self.accept();
        }
        if let Stop::At(deadline) = self.stop
            && deadline <= Instant::now()
        {
            self.kill(pidfd.as_fd())?;
        }
        Ok(ready[0])
    }

    /// Reads commands of the servers that sent something.
    fn serve(&mut self, ready: &[bool], pidfd: BorrowedFd<'_>, door: &mut Door) -> io::Result<()> {
        let mut stops = Vec::new();
        let mut staying = Vec::with_capacity(self.servers.len());
        for (mut server, is_ready) in
            std::mem::take(&mut self.servers).into_iter().zip(ready.iter().copied().chain(std::iter::repeat(false)))
        {
            let mut commands = Vec::new();
            // One that has gone, or that speaks nonsense, is let go.
            if is_ready && server.read(&mut commands).is_err() {
                continue;
            }
            let mut asked = None;
            for command in commands {
                match command {
                    Command::Stop { grace_ms } => stops.push(grace_ms),
                    Command::Peers { hosts } => bundle::name_peers(&hosts),
                    Command::Exec { command, tty } => asked = Some((command, tty)),
                }
            }
            match asked {
                Some((command, tty)) => door.open(server.stream, &command, tty),
                None => staying.push(server),
            }
        }
        self.servers = staying;
        for grace_ms in stops {
            let deadline = Instant::now() + Duration::from_millis(grace_ms);
            match self.stop {
                _ if grace_ms == 0 => self.kill(pidfd)?,
                Stop::NotAsked => {
                    sys::pidfd_signal(pidfd, self.stop_signal)?;
                    self.stop = Stop::At(deadline);
                }
                Stop::At(earlier) => self.stop = Stop::At(earlier.min(deadline)),
                Stop::Killed => {}
            }
        }
        Ok(())
    }

    fn kill(&mut self, pidfd: BorrowedFd<'_>) -> io::Result<()> {
        self.stop = Stop::Killed;
        sys::pidfd_signal(pidfd, libc::SIGKILL)
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.servers.len() == MAX_SERVERS {
                self.servers.remove(0);
            }
            if let Ok(mut server) = Server::new(stream)
                && server.tell(&self.status).is_ok()
            {
                self.servers.push(server);
            }
        }
    }

    fn tell(&mut self, state: State) {
        self.status.state = state;
        let status = &self.status;
        self.servers.retain_mut(|server| server.tell(status).is_ok());
    }

    /// What likely caused the end, when it was not asked for.
    fn hint(&self, code: i32, log: &LogFiles) -> Option<String> {
        let hierarchies = Hierarchies::find().ok()?;
        if hierarchies.oom_kills(&self.cgroup) > 0 && self.stop == Stop::NotAsked {
            return Some(
                "out of memory: raise its limit with the annotation `meshkeep.memory`, or let it use less".into(),
            );
        }
        if code != 0 && hierarchies.pids_refused(&self.cgroup) > 0 {
            return Some("it was refused another process: its limit of processes and threads is reached".into());
        }
        if code != 0 && !self.has_capabilities && log.ends_about(NOT_PERMITTED) {
            return Some(
                "it was not permitted something; an image that changes owners or users by itself needs the annotation \
                 `meshkeep.capabilities`, such as CHOWN,SETUID,SETGID"
                    .into(),
            );
        }
        None
    }

    /// Writes the end down, cleans up, and says so.
    fn end(&mut self, state: State) -> io::Result<()> {
        self.status.state = state.clone();
        // On a full disk the record cannot be written; a server that is connected hears of the end all the same.
        let recorded = files::write_record(&self.dir, files::EXIT, &self.status, Lasting::Synced);
        // libcontainer does not remove what a failed start made in every case; a leftover is the server's to find.
        let removed = Hierarchies::find().and_then(|hierarchies| hierarchies.destroy(&self.cgroup));
        self.tell(state);
        recorded.and(removed)
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}
