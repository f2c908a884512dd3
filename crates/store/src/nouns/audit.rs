//! The audit: append-only, each row chained to the one before it by a keyed digest, written in the transaction of the
//! act that it records. If it cannot be written, the act does not happen.

use meshkeep_core::{Timestamp, id::ProjectId};
use meshkeep_seal::Mac;
use sqlx::sqlite::SqliteRow;

use crate::{StoreError, Tx, row::Columns};

/// Rows that are read at once while the chain is followed.
const STEP: i64 = 1000;

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
    /// What came of it: [`AuditEntry::DONE`], or why it was refused.
    pub outcome: String,
}

impl AuditEntry {
    /// The outcome of what happened.
    pub const DONE: &str = "done";

    /// What the operator did on the server's own host, of no one project.
    #[must_use]
    pub fn of_operator(action: &str, object: String) -> Self {
        Self {
            project: None,
            actor: "operator".to_owned(),
            action: action.to_owned(),
            object,
            origin: "local".to_owned(),
            outcome: Self::DONE.to_owned(),
        }
    }
}

/// A row that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place; grows, and rows of other projects stand in between.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What it says.
    pub entry: AuditEntry,
}

/// What following the chain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditCheck {
    /// Rows that fit, from the first on.
    pub rows: u64,
    /// The place of the first row that does not.
    pub first_wrong: Option<i64>,
}

fn read(row: &SqliteRow) -> Result<AuditRow, StoreError> {
    let entry = AuditEntry {
        project: row.maybe_parsed("project_id")?,
        actor: row.text("actor")?,
        action: row.text("action")?,
        object: row.text("object")?,
        origin: row.text("origin")?,
        outcome: row.text("outcome")?,
    };
    Ok(AuditRow { seq: row.number("seq")?, at: row.time("at")?, entry })
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
        let mac = self.link(&last.unwrap_or_default(), entry, at)?;
        sqlx::query(
            "INSERT INTO audit (project_id, actor, action, object, origin, outcome, at, mac) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(entry.project.map(|id| id.to_string()))
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.object)
        .bind(&entry.origin)
        .bind(&entry.outcome)
        .bind(at.as_millis())
        .bind(mac.0.as_slice())
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.changes_anchor();
        Ok(())
    }

    /// A project's rows in order: `limit` of them after the place `after`, or the newest ones.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audit_rows(
        &mut self,
        project: ProjectId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let Some(after) = after else { return self.audit_rows_before(project, None, limit).await };
        let failed = self.failed("");
        let rows = sqlx::query("SELECT * FROM audit WHERE project_id = $1 AND seq > $2 ORDER BY seq LIMIT $3")
            .bind(project.to_string())
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// The newest `limit` rows of a project before a place, or of all; in order.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audit_rows_before(
        &mut self,
        project: ProjectId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("SELECT * FROM audit WHERE project_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3")
            .bind(project.to_string())
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        let mut rows = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        rows.sort_by_key(|row| row.seq);
        Ok(rows)
    }

    /// Follows the chain from its first row.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn check_audit(&mut self) -> Result<AuditCheck, StoreError> {
        let (mut check, mut last, mut seq) = (AuditCheck { rows: 0, first_wrong: None }, Vec::new(), i64::MIN);
        loop {
            let failed = self.failed("");
            let rows = sqlx::query("SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2")
                .bind(seq)
                .bind(STEP)
                .fetch_all(self.db())
                .await
                .map_err(failed)?;
            for row in &rows {
                seq = row.number("seq")?;
                match self.fits(&last, row) {
                    Some(mac) => last = mac,
                    None => return Ok(AuditCheck { first_wrong: Some(seq), ..check }),
                }
                check.rows += 1;
            }
            if rows.is_empty() {
                return Ok(check);
            }
        }
    }

    /// The row's own link, when it fits the one before it. What cannot even be read does not fit.
    fn fits(&self, last: &[u8], row: &SqliteRow) -> Option<Vec<u8>> {
        let AuditRow { at, entry, .. } = read(row).ok()?;
        let mac = row.bytes("mac").ok()?;
        self.link(last, &entry, at).ok()?.fits(&mac).then_some(mac)
    }

    fn link(&self, last: &[u8], entry: &AuditEntry, at: Timestamp) -> Result<Mac, StoreError> {
        let project = entry.project.map(|id| id.to_string()).unwrap_or_default();
        let at = at.as_millis().to_be_bytes();
        let texts = [&project, &entry.actor, &entry.action, &entry.object, &entry.origin];
        let mut parts: Vec<&[u8]> = vec![last, &at];
        parts.extend(texts.map(String::as_bytes));
        // Rows that were written before there were outcomes have none in their link.
        if entry.outcome != AuditEntry::DONE {
            parts.push(entry.outcome.as_bytes());
        }
        Ok(self.shared.audit_key()?.mac(&parts))
    }
}
