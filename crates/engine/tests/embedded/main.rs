//! The embedded engine with real containers, as root: this program is the tests, the supervisors' program, and a server
//! that can be killed.

mod basics;
mod breakout;
mod breakout_host;
mod breakout_image;
mod exec;
mod images;
mod leftovers;
mod life;
mod limits;
mod log;
mod network;
mod place;
mod storage;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("runtime-child") => meshkeep_engine::runtime_child(),
        Some("server") => life::server(),
        Some("open") => life::open(),
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

fn trials() -> Vec<Trial> {
    [
        basics::trials(),
        breakout::trials(),
        breakout_host::trials(),
        breakout_image::trials(),
        exec::trials(),
        images::trials(),
        leftovers::trials(),
        life::trials(),
        limits::trials(),
        log::trials(),
        network::trials(),
        storage::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
