//! The shapes of the API, shared by the server and the command line. MeshAgent's members first, meshkeep's after.
//!
//! Requests refuse unknown members unless public clients are known to send more. Plaintext in a request is
//! [`SecretText`]; no answer has a member that could hold a value, except [`SecretRevealed`] and [`ApiKeyCreated`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::{
    Refusal, RefusalKind, SecretText, Timestamp,
    access::Role,
    id::{ApiKeyId, ProjectId, RoomId, SecretId, ServiceId, SessionId, WorkloadId},
    name::{EntryName, SecretName},
    secret::SecretKind,
    service::ServiceSpec,
    workload::SessionState,
};

/// The body of every error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What was refused, why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A stable word for programs.
    pub code: String,
    /// What and why.
    pub message: String,
    /// What to do next; may be empty.
    #[serde(default)]
    pub hint: String,
    /// Under which the server's log knows this request.
    #[serde(default)]
    pub request_id: String,
}

/// HTTP status of a refusal, the one mapping for server and client.
#[must_use]
pub const fn status_of(kind: RefusalKind) -> u16 {
    match kind {
        RefusalKind::Invalid => 400,
        RefusalKind::Unauthenticated => 401,
        RefusalKind::Forbidden => 403,
        RefusalKind::NotFound => 404,
        RefusalKind::Conflict => 409,
        RefusalKind::Stale => 412,
        RefusalKind::TooLarge => 413,
        RefusalKind::Broken => 500,
        RefusalKind::Unavailable => 503,
    }
}

/// The reverse of [`status_of`], for clients; unknown client errors are `Invalid`, unknown others `Broken`.
#[must_use]
pub const fn kind_of(status: u16) -> RefusalKind {
    match status {
        401 => RefusalKind::Unauthenticated,
        403 => RefusalKind::Forbidden,
        404 => RefusalKind::NotFound,
        409 => RefusalKind::Conflict,
        412 => RefusalKind::Stale,
        413 => RefusalKind::TooLarge,
        429 | 503 => RefusalKind::Unavailable,
        400..=499 => RefusalKind::Invalid,
        _ => RefusalKind::Broken,
    }
}

// ---------------------------------------------------------------------------------------------------- projects, keys

/// `init --json`, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Initialised {
    /// The first project.
    pub project_id: ProjectId,
    /// Its name.
    pub project_name: String,
    /// The whole key, shown once.
    #[serde(serialize_with = "expose")]
    pub api_key: SecretText,
    /// The key's id.
    pub api_key_id: ApiKeyId,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Id.
    pub id: ProjectId,
    /// Name.
    pub name: String,
}

/// `GET /accounts/projects`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProjectList {
    /// What the caller may see.
    pub projects: Vec<Project>,
}

/// `GET P/role`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleAnswer {
    /// The caller's role.
    pub role: Role,
}

/// `POST P/api-keys`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ApiKeyCreate {
    /// Name, for people.
    pub name: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The creator's when absent, never above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The bind right; the creator's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<bool>,
}

/// An API key as listed: never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Id.
    pub id: ApiKeyId,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Role.
    pub role: Role,
    /// The bind right.
    pub bind: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// `GET P/api-keys`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKeyList {
    /// All keys of the project.
    pub keys: Vec<ApiKey>,
}

/// Answer of `POST P/api-keys`: the only time the value is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKeyCreated {
    /// Id.
    pub id: ApiKeyId,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The whole `ma-…` key.
    #[serde(serialize_with = "expose")]
    pub value: SecretText,
    /// Role.
    pub role: Role,
    /// The bind right.
    pub bind: bool,
}

// ------------------------------------------------------------------------------------------------------------ secrets

/// `POST P/secrets` and `PUT P/secrets/{id}`: exactly one of `data` and `data_base64`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretWrite {
    /// Ignored: some clients repeat the id of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The secret's name.
    pub name: String,
    /// `keys` or `docker`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Entries in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose_map")]
    pub data: Option<BTreeMap<String, SecretText>>,
    /// The same map as base64 of its JSON text (clients from 0.34).
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose_option")]
    pub data_base64: Option<SecretText>,
}

/// `PATCH P/secrets/{id}`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretPatch {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Entries to add or replace.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose_map")]
    pub set: Option<BTreeMap<String, SecretText>>,
    /// Entries to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
}

/// Answer of every save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSaved {
    /// Id.
    pub id: SecretId,
    /// Name.
    pub name: SecretName,
    /// `keys` or `docker`.
    #[serde(rename = "type")]
    pub kind: SecretKind,
    /// The version this save made.
    pub version: u32,
    /// When it applies and to how many running sessions: one sentence.
    pub applies: String,
    /// Running sessions that still use an older version.
    pub sessions_on_older: u32,
    /// What a person should know about the values, by entry: blanks at the ends, a trailing newline, too short to redact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A secret as listed and read, without values. Lists carry the first four members only, because older clients refuse
/// more; `?detail=true` and `GET P/secrets/{id}` carry all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretItem {
    /// Id.
    pub id: SecretId,
    /// Name.
    pub name: SecretName,
    /// `keys` or `docker`.
    #[serde(rename = "type")]
    pub kind: SecretKind,
    /// Entry names, each with `[redacted]`; for `docker` the server, user name and email in the clear.
    pub data: BTreeMap<String, String>,
    /// More, where asked for.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub detail: Option<SecretDetail>,
}

/// What a detailed read adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretDetail {
    /// Current version.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last saved.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
    /// Names of the services that name it.
    pub used_by: Vec<String>,
}

/// `GET P/secrets`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecretList {
    /// In name order.
    pub secrets: Vec<SecretItem>,
}

/// `GET P/secrets/{id}?reveal=true`: admins only, audited.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecretRevealed {
    /// Id.
    pub id: SecretId,
    /// Name.
    pub name: SecretName,
    /// `keys` or `docker`.
    #[serde(rename = "type")]
    pub kind: SecretKind,
    /// The version that is shown.
    pub version: u32,
    /// The values.
    #[serde(serialize_with = "expose_entries")]
    pub data: BTreeMap<EntryName, SecretText>,
}

/// `GET P/secrets/{id}/versions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecretVersions {
    /// Newest first.
    pub versions: Vec<SecretVersion>,
}

/// One version of a secret, without values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVersion {
    /// From 1.
    pub version: u32,
    /// When it was saved.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Its entry names.
    pub entries: Vec<String>,
    /// What changed since the version before; absent when that one is not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<VersionChanges>,
}

/// Names of what a version changed, never values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionChanges {
    /// Entries that were not there.
    pub added: Vec<String>,
    /// Entries with another value.
    pub changed: Vec<String>,
    /// Entries that are not there any more.
    pub removed: Vec<String>,
}

// ----------------------------------------------------------------------------------------------------------- services

/// `GET B`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceList {
    /// In name order.
    pub services: Vec<ServiceSpec>,
}

// -------------------------------------------------------------------------------------------------------------- rooms

/// `POST P/rooms`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RoomCreate {
    /// The room's name.
    pub name: String,
    /// Answer the existing room instead of 409.
    #[serde(default)]
    pub if_not_exists: bool,
    /// Free JSON object.
    #[serde(default)]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
    /// Free text by name.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Accepted and without effect: there are no room grants here.
    #[serde(default)]
    pub permissions: Option<serde_json::Value>,
}

/// `PUT P/rooms/{id}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RoomUpdate {
    /// The new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Replaces when given.
    #[serde(default)]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
    /// Replaces when given.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Id.
    pub id: RoomId,
    /// Name.
    pub name: String,
    /// Never null.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Free text by name.
    pub annotations: BTreeMap<String, String>,
}

/// `GET P/rooms`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomList {
    /// One page.
    pub rooms: Vec<Room>,
}

/// Answer of `POST P/rooms/{name}/connect`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connected {
    /// A participant token.
    #[serde(serialize_with = "expose")]
    pub jwt: SecretText,
    /// The room.
    pub room_name: String,
    /// The project.
    pub project_id: ProjectId,
    /// Where its websocket is.
    pub room_url: String,
}

// ----------------------------------------------------------------------------------------------------------- sessions

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
    /// Which pull secret fetched its image.
    pub pull_secret: Option<SecretUse>,
    /// When its process last started.
    pub started_at: Option<Timestamp>,
    /// Its layers, while pulling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub progress: Vec<LayerProgress>,
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

// -------------------------------------------------------------------------------------------------------------- audit

/// `GET P/audit`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditList {
    /// In the order they were written.
    pub rows: Vec<AuditRow>,
}

/// One row of the audit; never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its place, for `after`.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What, such as `secret.save`.
    pub action: String,
    /// On which object and version.
    pub object: String,
    /// From where.
    pub origin: String,
    /// `done`, or `refused: ` and the refusal's code.
    pub outcome: String,
}

/// `GET P/audit/verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerified {
    /// Whether every row fits the one before it.
    pub fits: bool,
    /// The place of the first row that does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_wrong: Option<i64>,
}

// ---------------------------------------------------------------------------------------- plaintext, said aloud, once

fn expose<S: Serializer>(text: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.expose())
}

#[expect(clippy::ref_option, reason = "serde's calling convention")]
fn expose_option<S: Serializer>(text: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_ref().map(SecretText::expose).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde's calling convention")]
fn expose_map<S: Serializer>(map: &Option<BTreeMap<String, SecretText>>, serializer: S) -> Result<S::Ok, S::Error> {
    match map {
        Some(map) => serializer.collect_map(map.iter().map(|(name, value)| (name, value.expose()))),
        None => serializer.serialize_none(),
    }
}

fn expose_entries<S: Serializer>(map: &BTreeMap<EntryName, SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().map(|(name, value)| (name, value.expose())))
}
