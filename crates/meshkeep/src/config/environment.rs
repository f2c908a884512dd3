//! The few variables of the process that `serve` reads.

use std::ffi::OsString;

/// What the service manager says.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Where readiness is reported (sd_notify).
    pub notify_socket: Option<OsString>,
}

impl Environment {
    /// Reads them, once.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
    pub fn read() -> Self {
        Self { notify_socket: std::env::var_os("NOTIFY_SOCKET").filter(|value| !value.is_empty()) }
    }
}
