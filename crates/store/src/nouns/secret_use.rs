//! Which versions of secrets running sessions use, and which are the newest. No value is opened here.

use std::collections::BTreeMap;

use meshkeep_core::{
    id::{ProjectId, SecretId, SessionId},
    secret::SecretRef,
};

use crate::{StoreError, Tx, row::Columns};

/// A secret that a workload of a running session uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUse {
    /// The session.
    pub session: SessionId,
    /// The secret and its version.
    pub secret: SecretRef,
}

impl Tx {
    /// What the workloads of a project's running sessions use, secret keys and pull secrets.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn running_secret_uses(&mut self, project: ProjectId) -> Result<Vec<SecretUse>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT w.session_id, w.secrets, w.pull_secrets FROM workloads w JOIN sessions s ON s.id = w.session_id \
             WHERE s.project_id = $1 AND s.ended_at IS NULL",
        )
        .bind(project.to_string())
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        let mut uses = Vec::new();
        for row in &rows {
            let session = row.parsed("session_id")?;
            let keys: Vec<SecretRef> = row.json("secrets")?;
            let pull: Vec<SecretRef> = row.json("pull_secrets")?;
            uses.extend(keys.into_iter().chain(pull).map(|secret| SecretUse { session, secret }));
        }
        Ok(uses)
    }

    /// The newest version of every secret of a project.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn newest_secret_versions(&mut self, project: ProjectId) -> Result<BTreeMap<SecretId, u32>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("SELECT id, version FROM secrets WHERE project_id = $1")
            .bind(project.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        rows.iter().map(|row| Ok((row.parsed("id")?, row.count("version")?))).collect()
    }
}
