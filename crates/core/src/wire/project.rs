//! Projects and API keys.

use serde::{Deserialize, Serialize};

use super::expose::expose;
use crate::{
    SecretText, Timestamp,
    access::Role,
    id::{ApiKeyId, ProjectId},
};

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
    /// What clients from 0.39 on name the project's images by; here its id once more.
    pub project_key: ProjectId,
}

impl Project {
    /// As it is answered.
    #[must_use]
    pub const fn new(id: ProjectId, name: String) -> Self {
        Self { id, name, project_key: id }
    }
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
