//! The first thing a supervisor does: nobody may look into it, and it holds nothing it was not given.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin, stdout},
};

use super::super::sys;

/// What the server gave us.
pub(super) struct Inherited {
    /// The launch comes here; then commands.
    pub control: UnixStream,
    /// Where a later server connects.
    pub listener: OwnedFd,
}

/// Makes this process private and takes over the two descriptors that it was given.
pub(super) fn harden() -> io::Result<Inherited> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // 0 would not stop a `core_pattern` that is a pipe; 1 does, and no file can be that small.
    setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) })?;
    // A session of its own: a signal to the server's process group must not end workloads.
    let _ = rustix::process::setsid();
    rustix::process::umask(Mode::empty());
    sys::close_from(3)?;
    let control = UnixStream::from(fcntl_dupfd_cloexec(stdin(), 3)?);
    let listener = fcntl_dupfd_cloexec(stdout(), 3)?;
    let null = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    fcntl_setfd(&null, FdFlags::CLOEXEC)?;
    Ok(Inherited { control, listener })
}
