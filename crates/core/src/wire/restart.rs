//! Rolling restarts.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Reason;
use crate::{
    Timestamp,
    id::{RestartId, ServiceId, SessionId},
};

/// `POST B/{id}/restart` and `GET` of the same: a restart of a service in all its running sessions, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollingRestart {
    /// Id.
    pub id: RestartId,
    /// The service.
    pub service_id: ServiceId,
    /// Its name when it was begun.
    pub service_name: String,
    /// How far it is.
    pub state: RestartState,
    /// Who began it.
    pub started_by: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was done or stopped.
    pub ended_at: Option<Timestamp>,
    /// The sessions that ran the service when it was begun, oldest first: the order in which they are restarted.
    pub sessions: Vec<RestartStep>,
    /// What to do next, when it stopped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// One session of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartStep {
    /// The session.
    pub session_id: SessionId,
    /// Its room.
    pub room_name: String,
    /// What came of it.
    pub outcome: RestartOutcome,
    /// Why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

macro_rules! words {
    ($($(#[$doc:meta])* enum $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// The word on the wire and in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

words! {
    /// How far a rolling restart is.
    enum RestartState {
        /// On its way.
        Running = "running",
        /// Every session was restarted and became ready, or had ended.
        Done = "done",
        /// One did not become ready; those after it were left alone.
        Stopped = "stopped",
    }

    /// What came of one session.
    enum RestartOutcome {
        /// Its turn is to come.
        Pending = "pending",
        /// It is being restarted.
        Restarting = "restarting",
        /// Its service is ready, with the newest versions.
        Ready = "ready",
        /// Its service was not restarted, or did not become ready.
        Failed = "failed",
        /// It had ended, or one before it failed.
        Skipped = "skipped",
    }
}
