//! meshkeep: the server, and the command line over its API.
//!
//! Owns: the process (its arguments, environment, settings, signals and exit codes) and the wiring of the parts.
//! Must never contain: SQL, sealing, HTTP routes, anything of containers.

#![forbid(unsafe_code)]

mod client;
mod cmd;
mod config;
mod failure;
mod init;
mod serve {
    mod args;
    mod process;
    pub use args::{EngineKind, ServeArgs};
    pub use process::{harden, private_files};
    pub fn run(_: ServeArgs) -> std::process::ExitCode {
        crate::failure::Failure::new(crate::failure::Exit::Broken, "not yet").report()
    }
}

use std::process::ExitCode;

fn main() -> ExitCode {
    cmd::run()
}
