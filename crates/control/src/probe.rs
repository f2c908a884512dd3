//! Asks a service's liveness paths whether it is ready.
//!
//! The address is always one that the engine gave to a workload; redirects and proxies are never followed, bodies
//! are never read.

use std::{net::Ipv4Addr, time::Duration};

/// A path that must answer 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The port within the container.
    pub port: u16,
    /// The path, beginning with `/`.
    pub path: String,
}

/// The one HTTP client for probes.
#[derive(Clone, Debug)]
pub struct Prober(reqwest::Client);

/// How long one probe may take.
const TIMEOUT: Duration = Duration::from_secs(2);

impl Prober {
    /// Makes the client.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .user_agent("meshkeep-liveness")
            .build()?;
        Ok(Self(client))
    }

    /// Whether the path answers 200 now.
    pub async fn answers(&self, address: Ipv4Addr, probe: &Probe) -> bool {
        let url = format!("http://{address}:{}{}", probe.port, probe.path);
        match self.0.get(url).send().await {
            Ok(answer) => answer.status() == reqwest::StatusCode::OK,
            Err(_) => false,
        }
    }
}
