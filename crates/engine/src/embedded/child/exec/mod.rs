//! Further processes in a container that runs: with its environment, its user, its bounds, and no more rights than the
//! first one has.
//!
//! ```text
//! supervisor ── forks ──► helper ── forks ──► joins the cgroup and the namespaces ── forks ──► the command
//!                         pumps between the server's connection and the command's streams
//! ```
//!
//! libcontainer's own way to do this leaves the user namespace and the seccomp filter out, so the few steps are ours
//! ([`join`]). What must stay true: the helper holds nothing of the supervisor's but the connection, so nothing that is
//! in the container finds a way out along a descriptor; the command is confined before it is looked for; it dies with
//! its helper, and the helper with the supervisor.

mod converse;
mod join;
mod terminal;

use std::{
    io::{self, PipeReader},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use meshkeep_core::{Refusal, RefusalKind};
use rustix::{
    fs::{Gid, Uid, fchown},
    io::fcntl_dupfd_cloexec,
    process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal},
};
use zeroize::Zeroizing;

use super::{
    super::{
        proto::{self, Launch, exec::Begun},
        sys::{self, Fork},
    },
    account::Account,
    container::{Built, told},
    executor::Exec,
    fault::{Doing, Fault},
};

/// Processes of this kind at once; more are refused.
const MAX_GUESTS: usize = 32;
/// Above this nothing is open but what the helper keeps.
const KEPT_FROM: i32 = 64;

/// The way into a container, and who went in.
pub(super) struct Door {
    /// `NAME=value` and a NUL, one after the other.
    environment: Zeroizing<Vec<u8>>,
    account: Account,
    working_dir: String,
    capabilities: Vec<String>,
    cgroup: String,
    id_base: u32,
    /// The container's first process.
    pid: i32,
    guests: Vec<(i32, OwnedFd)>,
}

impl Door {
    pub(super) fn new(launch: &Launch, built: &Built, environment: Zeroizing<Vec<u8>>) -> Self {
        Self {
            environment,
            account: built.account.clone(),
            working_dir: launch.working_dir.clone(),
            capabilities: launch.capabilities.clone(),
            cgroup: launch.cgroup.clone(),
            id_base: launch.id_base,
            pid: built.pid,
            guests: Vec::new(),
        }
    }

    /// Lets a command in, whose streams are at the other end of this connection. What goes wrong is told there.
    pub(super) fn open(&mut self, stream: UnixStream, command: &[String], tty: bool) {
        if stream.set_nonblocking(false).and_then(|()| proto::write(&stream, &Begun { begun: true })).is_err() {
            return;
        }
        if self.guests.len() >= MAX_GUESTS {
            let message = format!("{MAX_GUESTS} further processes run in this container");
            let refusal = Refusal::new(RefusalKind::Unavailable, "over_a_limit", message).hint("end some of them");
            // Who has gone does not hear it.
            let _ = converse::fail(&stream, &refusal);
            return;
        }
        match sys::fork(false) {
            Ok(Fork::Child) => {
                self.guest(stream, command, tty);
                sys::leave(0)
            }
            Ok(Fork::Parent(pid)) => match pidfd(pid) {
                Ok(handle) => self.guests.push((pid, handle)),
                // It ended already.
                Err(_) => drop(sys::reap_if_ended(pid)),
            },
            Err(error) => {
                let fault = Fault::Step { doing: "making a process".into(), source: Box::new(error) };
                let _ = converse::fail(&stream, &fault.into_refusal());
            }
        }
    }

    /// Helpers, to be polled for their end.
    pub(super) fn inside(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.guests.iter().map(|(_, handle)| handle.as_fd())
    }

    /// Forgets those that have ended.
    pub(super) fn reap(&mut self) {
        self.guests.retain(|(pid, _)| !sys::reap_if_ended(*pid));
    }

    /// The container has ended, and with it what was let in: helpers have that to tell, and no more to do.
    pub(super) fn shut(&mut self) {
        for (pid, _) in self.guests.drain(..) {
            // An error would mean that it was reaped already.
            let _ = sys::reap(pid);
        }
    }

    /// In a process of its own.
    fn guest(&self, stream: UnixStream, command: &[String], tty: bool) {
        let Ok(stream) = alone(stream) else { return };
        let ended = self.begin(command, tty).and_then(|begun| converse::converse(&stream, begun));
        if let Err(fault) = ended {
            // Who has gone does not hear it.
            let _ = converse::fail(&stream, &fault.into_refusal());
        }
    }

    /// Starts the command.
    fn begin(&self, command: &[String], tty: bool) -> Result<Command, Fault> {
        let streams = self.streams(tty)?;
        let (report, report_writer) = io::pipe().doing("making a pipe")?;
        let (mut ids, id_writer) = io::pipe().doing("making a pipe")?;
        let exec = Exec::new(self.environment.clone(), &self.account.home, command, report_writer.into())?;
        let container = pidfd(self.pid).doing("holding the container")?;
        let joiner = match sys::fork(false).doing("making a process")? {
            Fork::Parent(pid) => pid,
            Fork::Child => {
                let joined = join::join(self, &container, &streams.theirs, &exec, id_writer);
                if let Err(fault) = joined {
                    exec.tell(fault);
                }
                sys::leave(1)
            }
        };
        // The command's process alone holds them now.
        drop((exec, id_writer, streams.theirs));
        sys::reap(joiner).doing("waiting for a process")?;
        let pid = join::read_id(&mut ids);
        started(report)?;
        let pid = pid.ok_or_else(|| io::Error::other("it said no process id")).doing("starting the command")?;
        Ok(Command { pid, handle: pidfd(pid).doing("holding the command")?, ours: streams.ours })
    }

    fn streams(&self, tty: bool) -> Result<Streams, Fault> {
        if tty {
            let (master, terminal) = terminal::open(self.owner()).doing("making a terminal")?;
            return Ok(Streams { ours: Ours::Terminal(master.into()), theirs: Theirs::Terminal(terminal) });
        }
        let (stdin, stdin_writer) = io::pipe().doing("making a pipe")?;
        let (stdout_reader, stdout) = io::pipe().doing("making a pipe")?;
        let (stderr_reader, stderr) = io::pipe().doing("making a pipe")?;
        let theirs: [OwnedFd; 3] = [stdin.into(), stdout.into(), stderr.into()];
        let (uid, gid) = self.owner();
        for stream in &theirs {
            // Programs open /dev/stdout by its name, which the kernel allows to the pipe's owner only.
            fchown(stream, Some(uid), Some(gid)).doing("giving the streams away")?;
        }
        let ours = Ours::Pipes {
            stdin: Some(OwnedFd::from(stdin_writer).into()),
            stdout: OwnedFd::from(stdout_reader).into(),
            stderr: OwnedFd::from(stderr_reader).into(),
        };
        Ok(Streams { ours, theirs: Theirs::Pipes(theirs) })
    }

    /// The command's user, as the host knows it.
    fn owner(&self) -> (Uid, Gid) {
        (Uid::from_raw(self.id_base + self.account.uid), Gid::from_raw(self.id_base + self.account.gid))
    }
}

/// A command that runs.
struct Command {
    pid: i32,
    handle: OwnedFd,
    ours: Ours,
}

struct Streams {
    ours: Ours,
    theirs: Theirs,
}

/// The helper's ends.
enum Ours {
    Terminal(std::fs::File),
    Pipes { stdin: Option<std::fs::File>, stdout: std::fs::File, stderr: std::fs::File },
}

/// The command's ends.
enum Theirs {
    Terminal(OwnedFd),
    Pipes([OwnedFd; 3]),
}

/// Leaves everything of the supervisor behind but this connection.
fn alone(stream: UnixStream) -> io::Result<UnixStream> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let kept = fcntl_dupfd_cloexec(&stream, KEPT_FROM)?;
    // What stood for the supervisor's descriptors is never dropped: this process ends in `leave`.
    std::mem::forget(stream);
    sys::close_between(3, KEPT_FROM)?;
    sys::close_from(KEPT_FROM.unsigned_abs() + 1)?;
    Ok(UnixStream::from(kept))
}

fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process id"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits until the command runs, or says why it does not.
fn started(mut report: PipeReader) -> Result<(), Fault> {
    told(&mut report).map_or(Ok(()), Err)
}
