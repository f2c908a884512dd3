//! The audit: append-only, each row chained to the one before it by a keyed digest, written in the transaction of the
//! act that it records. If it cannot be written, the act does not happen.

use meshkeep_core::{Timestamp, id::ProjectId};
use meshkeep_seal::{Context, Mac};

use crate::{StoreError, Tx, row::Columns};

/// One row. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// The project, where there is one.
    pub project: Option<ProjectId>,
    /// Who.
    pub actor: String,
    /// What, such as `secret.save`.
    pub action: String,
    /// On which object and version.
    pub object: String,
    /// From where.
    pub origin: String,
}

impl Tx {
    /// Adds a row.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        let failed = self.failed("");
        let last: Option<Vec<u8>> = sqlx::query_scalar("SELECT mac FROM audit ORDER BY seq DESC LIMIT 1")
            .fetch_optional(self.db())
            .await
            .map_err(&failed)?;
        let at = self.now();
        let mac = self.link(&last.unwrap_or_default(), entry, at);
        sqlx::query(
            "INSERT INTO audit (project_id, actor, action, object, origin, at, mac) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(entry.project.map(|id| id.to_string()))
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.object)
        .bind(&entry.origin)
        .bind(at.as_millis())
        .bind(mac.0.as_slice())
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// Follows the chain from its first row.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], naming the first row that does not fit.
    pub async fn check_audit(&mut self) -> Result<u64, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("SELECT * FROM audit ORDER BY seq").fetch_all(self.db()).await.map_err(failed)?;
        let mut last = Vec::new();
        for row in &rows {
            let entry = AuditEntry {
                project: row.maybe_parsed("project_id")?,
                actor: row.text("actor")?,
                action: row.text("action")?,
                object: row.text("object")?,
                origin: row.text("origin")?,
            };
            let mac = row.bytes("mac")?;
            if !self.link(&last, &entry, row.time("at")?).fits(&mac) {
                return Err(StoreError::damaged(format!(
                    "row {} of the audit does not fit its chain",
                    row.number("seq")?
                )));
            }
            last = mac;
        }
        Ok(rows.len() as u64)
    }

    fn link(&self, last: &[u8], entry: &AuditEntry, at: Timestamp) -> Mac {
        let project = entry.project.map(|id| id.to_string()).unwrap_or_default();
        let at = at.as_millis().to_be_bytes();
        let texts = [&project, &entry.actor, &entry.action, &entry.object, &entry.origin];
        let mut parts: Vec<&[u8]> = vec![last, &at];
        parts.extend(texts.map(String::as_bytes));
        self.shared.keyring.mac(&Context::new("audit"), &parts)
    }
}
