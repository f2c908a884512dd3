//! `meshkeep runtime-child`: one single-threaded process per workload. It builds the container, then stays as its
//! supervisor: pumps its output through the redactor into the log, waits for its end, and answers the server.
//!
//! It is executed with no arguments of its own and an empty environment; descriptor 0 is a socket that carries the launch
//! (see [`super::proto`]), descriptor 1 the listening socket that a later server connects to. What must stay true: it
//! hardens itself before it reads anything; the plaintext of the environment stands in wiped buffers only and in no
//! file, not even on its own tmpfs; when it dies, the container dies with it (`PR_SET_PDEATHSIG`), and with both go all
//! mounts, loop devices and the network namespace.

mod account;
mod bundle;
mod container;
mod exec;
mod executor;
mod fault;
mod harden;
mod layers;
mod log;
mod output;
mod rootfs;
mod seccomp;
mod servers;
mod stage;
mod supervisor;
mod volumes;

use std::{os::unix::net::UnixStream, process::ExitCode};

use harden::Inherited;
use supervisor::Supervisor;

use super::proto::{self, Delivery, Launch};

/// Runs one workload from its launch to its end. `main` calls this before anything else when its first argument is
/// `runtime-child`: no thread, no runtime, no logging may exist.
#[must_use]
pub fn runtime_child() -> ExitCode {
    // Without a launch there is nobody to tell; the server sees the closed socket.
    let Ok(inherited) = harden::harden() else { return ExitCode::FAILURE };
    let Inherited { mut control, listener } = inherited;
    let Ok((launch, received)) = receive(&mut control) else { return ExitCode::FAILURE };
    let Ok(supervisor) = Supervisor::new(&launch, control, listener) else { return ExitCode::FAILURE };
    match supervisor.run(launch, received) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn receive(control: &mut UnixStream) -> std::io::Result<(Launch, proto::Received)> {
    let launch: Launch = proto::read(&mut *control)?;
    if launch.version != proto::VERSION {
        return Err(std::io::Error::other("the launch is of another version"));
    }
    Ok((launch, Delivery::receive(control)?))
}
