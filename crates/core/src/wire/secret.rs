//! Secrets: values go in, names come out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::expose::{expose_entries, expose_map, expose_option};
use crate::{
    SecretText, Timestamp,
    id::SecretId,
    name::{EntryName, SecretName},
    secret::SecretKind,
};

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

/// `POST P/pull-secrets/test`: a stored pull secret, or the members of one that is not saved yet, against an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullTest {
    /// A stored pull secret; its newest version is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<SecretId>,
    /// The registry, when no stored one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The user name, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password or token, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "expose_option")]
    pub password: Option<SecretText>,
    /// The image to be pulled with it. Nothing but its manifest is asked for.
    pub image: String,
}

/// What came of a [`PullTest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullTested {
    /// Whether the registry gives the image to this credential.
    pub ok: bool,
    /// `ok`, or the code with which a launch would fail.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to do, where that helps.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
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
    /// It does not open, or is not what was saved, and is used for nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// `data`, masked as it is, as base64 of its JSON text: what clients from 0.34 read, and send back.
    pub data_base64: String,
}

/// `GET P/secrets/{id}/usage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUsage {
    /// Names of the services that name it.
    pub services: Vec<String>,
    /// What would follow if it were deleted now, in whole sentences.
    pub after_delete: Vec<String>,
}

/// `GET P/deleted-secrets`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeletedSecretList {
    /// Newest deletion first.
    pub secrets: Vec<DeletedSecret>,
}

/// A secret that was deleted and can still be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedSecret {
    /// Id.
    pub id: SecretId,
    /// The name that it had.
    pub name: SecretName,
    /// `keys` or `docker`.
    #[serde(rename = "type")]
    pub kind: SecretKind,
    /// Its newest version.
    pub version: u32,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// By whom.
    pub deleted_by: String,
    /// When it will be gone for ever.
    pub kept_until: Timestamp,
}

/// `POST P/deleted-secrets/{id}/restore`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRestore {
    /// Another name than the one that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
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
