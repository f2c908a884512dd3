//! The server's log: standard error, one line per event.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::failure::{Exit, Failure};

/// Starts the log and makes panics part of it, by place only: a panic's text may quote what the code held.
pub(super) fn start(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(filter).map_err(|_| {
        Failure::new(Exit::Usage, "`--log` is not a filter such as `info` or `warn,meshkeep_engine=debug`")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    Ok(())
}
