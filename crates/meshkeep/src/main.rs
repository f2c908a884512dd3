//! meshkeep: the server, and the command line over its API.
//!
//! Owns: the process (its arguments, environment, settings, signals and exit codes) and the wiring of the parts.
//! Must never contain: SQL, sealing, HTTP routes, anything of containers.

#![forbid(unsafe_code)]

mod backup;
mod client;
mod cmd;
mod config;
mod doctor;
mod failure;
mod init;
mod operator;
mod root_key;
mod serve;
mod studio_link;

use std::process::ExitCode;

/// The command under which the server starts this program again as the supervisor of one workload.
const RUNTIME_CHILD: &str = "runtime-child";

fn main() -> ExitCode {
    // Before anything else: a supervisor has one thread, and reads neither arguments nor environment.
    if std::env::args_os().nth(1).is_some_and(|word| word == RUNTIME_CHILD) {
        return meshkeep_engine::runtime_child();
    }
    cmd::run()
}
