//! Sessions, their workloads and events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Refusal, Timestamp,
    id::{RoomId, SecretId, ServiceId, SessionId, WorkloadId},
    name::SecretName,
    workload::SessionState,
};

/// A session; lists carry it without `workloads`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// Null when the room is gone.
    pub room_id: Option<RoomId>,
    /// The room's name.
    pub room_name: String,
    /// When it began.
    pub created_at: Timestamp,
    /// Whether it runs.
    pub is_active: bool,
    /// Participants by role.
    pub participants: Option<BTreeMap<String, u32>>,
    /// State.
    pub state: SessionState,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its services' workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<Vec<Workload>>,
}

/// One service's workload in a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Id.
    pub id: WorkloadId,
    /// The service.
    pub service_id: ServiceId,
    /// Its name.
    pub service_name: String,
    /// `pending`, `pulling`, `starting`, `running`, `ready`, `exited`, `failed`, `stopped`.
    pub state: String,
    /// Why, when failed or restarting.
    pub reason: Option<Reason>,
    /// Of the last exit.
    pub exit_code: Option<i32>,
    /// How often it was restarted after a crash.
    pub restarts: u32,
    /// The next restart, when one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_at: Option<Timestamp>,
    /// As the manifest names it.
    pub image: String,
    /// What was run.
    pub image_digest: Option<String>,
    /// Which versions its environment was made of.
    pub secrets: Vec<SecretUse>,
    /// Which pull secret fetched its image. Of several, none until then.
    pub pull_secret: Option<SecretUse>,
    /// Its others; those that fetched an image that it mounts say what they are for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_pull_secrets: Vec<SecretUse>,
    /// When its process last started.
    pub started_at: Option<Timestamp>,
    /// Its layers, while pulling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub progress: Vec<LayerProgress>,
}

impl Workload {
    /// Every secret that it was launched with.
    pub fn secrets_used(&self) -> impl Iterator<Item = &SecretUse> {
        self.secrets.iter().chain(&self.pull_secret).chain(&self.further_pull_secrets)
    }
}

/// Why a workload is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A stable word for programs.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        Self { code: refusal.code.clone(), message: refusal.message.clone(), hint: refusal.hint.clone() }
    }
}

/// A secret that a workload uses, by version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    /// Id.
    pub id: SecretId,
    /// Name when it was launched.
    pub name: SecretName,
    /// Version in use.
    pub version: u32,
    /// The newest version, when it is newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<u32>,
    /// Of a pull secret that an image was fetched with: the registry, and the part of the path, that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<String>,
}

/// Bytes of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerProgress {
    /// The compressed blob's digest.
    pub layer: String,
    /// Compressed bytes that have arrived.
    pub done: u64,
    /// Compressed bytes in all.
    pub total: u64,
}

/// `GET P/sessions` and `GET P/sessions/active`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionList {
    /// Newest first.
    pub sessions: Vec<Session>,
}

/// `GET P/sessions/{id}/events`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventList {
    /// Oldest first.
    pub events: Vec<Event>,
}

/// Something that happened in a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// A stable word such as `workload.ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Free JSON object, never a value.
    pub data: serde_json::Value,
    /// When.
    pub at: Timestamp,
}
