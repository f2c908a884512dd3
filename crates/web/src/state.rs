//! What handlers may extract: a few cheap handles, each by its own type.

use std::sync::Arc;

use axum::extract::FromRef;
use meshkeep_control::Control;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// What the binary decides about the edge.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// A proxy stands in front and appends the caller's address to `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Browsers come by https: cookies are marked so.
    pub is_https: bool,
    /// What Studio tells of the server.
    pub facts: Facts,
    /// Cancelled when the server begins to stop: answers that stream without an end then end.
    pub stopping: CancellationToken,
}

/// What an admin may know of the server.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Of meshkeep.
    pub version: &'static str,
    /// What runs services.
    pub engine: &'static str,
    /// Where everything is stored.
    pub data_dir: String,
    /// Where the root key is.
    pub root_key_file: String,
    /// Which one it is.
    pub root_key_id: String,
    /// When the root key was changed last.
    pub root_key_rotated_at: Option<meshkeep_core::Timestamp>,
}

/// The router's state; handlers extract a part of it.
#[derive(Clone)]
pub(crate) struct WebState {
    pub(crate) control: Control,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
}

impl FromRef<WebState> for Control {
    fn from_ref(state: &WebState) -> Self {
        state.control.clone()
    }
}

impl FromRef<WebState> for Arc<Metrics> {
    fn from_ref(state: &WebState) -> Self {
        Arc::clone(&state.metrics)
    }
}

impl FromRef<WebState> for Settings {
    fn from_ref(state: &WebState) -> Self {
        state.settings.clone()
    }
}
