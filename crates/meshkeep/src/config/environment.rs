//! The few variables of the process that meshkeep reads.

use std::ffi::OsString;

use meshkeep_core::SecretText;

/// What the service manager says to `serve`.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Where readiness is reported (sd_notify).
    pub notify_socket: Option<OsString>,
    /// The directory of the credentials that it passes (systemd.exec(5)).
    pub credentials: Option<OsString>,
}

impl Environment {
    /// Reads them, once.
    #[must_use]
    pub fn read() -> Self {
        Self { notify_socket: variable("NOTIFY_SOCKET"), credentials: variable("CREDENTIALS_DIRECTORY") }
    }
}

/// What the other commands talk to: the same variables that MeshAgent's own command line reads.
#[derive(Debug, Default)]
pub struct ClientEnvironment {
    /// `MESHAGENT_API_URL`
    pub api_url: Option<OsString>,
    /// `MESHAGENT_API_KEY`, or else `MESHAGENT_TOKEN`.
    pub credential: Option<SecretText>,
    /// `MESHAGENT_PROJECT_ID`
    pub project: Option<OsString>,
}

impl ClientEnvironment {
    /// Reads them, once. A credential that is not text is none.
    #[must_use]
    pub fn read() -> Self {
        let credential = variable("MESHAGENT_API_KEY").or_else(|| variable("MESHAGENT_TOKEN"));
        Self {
            api_url: variable("MESHAGENT_API_URL"),
            credential: credential.and_then(|text| text.into_string().ok()).map(SecretText::new),
            project: variable("MESHAGENT_PROJECT_ID"),
        }
    }
}

/// An empty variable is one that is not set.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
