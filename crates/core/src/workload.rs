//! States of sessions and workloads, as recorded and as shown.

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// The life of a workload. `pending → pulling → starting → running → ready`, then one of the last three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WorkloadState {
    /// Recorded, nothing done yet.
    Pending,
    /// The image is being proven and fetched.
    Pulling,
    /// Handed to the engine.
    Starting,
    /// The process runs; a liveness path has not answered 200 yet.
    Running,
    /// Running, and every liveness path answered 200.
    Ready,
    /// The process ended by itself; a code other than 0 is followed by a restart.
    Exited {
        /// Exit status, or 128 + signal number.
        code: i32,
    },
    /// It could not start, or was lost.
    Failed {
        /// Why, with what to do.
        reason: Refusal,
    },
    /// meshkeep stopped it.
    Stopped,
}

impl WorkloadState {
    /// The word on the wire and in the store.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Pulling => "pulling",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Exited { .. } => "exited",
            Self::Failed { .. } => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Whether a process may exist for it.
    #[must_use]
    pub const fn may_be_alive(&self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Ready)
    }
}

/// The state of a session as shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Some service is not ready yet and none has failed.
    Starting,
    /// Every service is ready, or has exited with 0.
    Ready,
    /// Some service failed or keeps crashing; the others run on.
    Degraded,
    /// Over.
    Ended,
}

impl SessionState {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Ended => "ended",
        }
    }
}
