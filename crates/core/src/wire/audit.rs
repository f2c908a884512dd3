//! The audit.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

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
