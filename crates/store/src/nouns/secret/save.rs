//! Saving: every save makes a version; the oldest go.

use meshkeep_core::{
    id::{ProjectId, SecretId},
    name::SecretName,
    secret::{Entries, SecretKind},
};

use super::{Secret, SecretSummary, entries::encode, place, row_digest::version_digest};
use crate::{
    StoreError, Tx,
    nouns::{list::Listed, new_id},
    tx::one_row,
};

impl Tx {
    /// Makes a secret with its first version.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when the project has one of this name.
    pub async fn create_secret(
        &mut self,
        project: ProjectId,
        name: &SecretName,
        kind: SecretKind,
        entries: &Entries,
        by: &str,
    ) -> Result<Secret, StoreError> {
        let id = SecretId::from_uuid(new_id());
        let failed = self.failed("secret name");
        sqlx::query(
            "INSERT INTO secrets (id, project_id, name, kind, version, created_at, updated_at, updated_by) \
             VALUES ($1, $2, $3, $4, 1, $5, $5, $6)",
        )
        .bind(id.to_string())
        .bind(project.to_string())
        .bind(name.as_str())
        .bind(kind.as_str())
        .bind(self.now().as_millis())
        .bind(by)
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.add_version(project, id, kind, 1, entries, by).await?;
        self.list_secret(project, id, None).await?;
        self.must_find(project, id).await
    }

    /// Saves a new version, and the name.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another secret has the name.
    pub async fn save_secret(
        &mut self,
        old: &Secret,
        name: &SecretName,
        entries: &Entries,
        by: &str,
    ) -> Result<Secret, StoreError> {
        let (version, was) = (old.version + 1, self.carried_mac(Listed::Secret, &old.id.to_string()).await?);
        let failed = self.failed("secret name");
        let done = sqlx::query(
            "UPDATE secrets SET name = $1, version = $2, updated_at = $3, updated_by = $4 WHERE id = $5 AND version = $6",
        )
        .bind(name.as_str())
        .bind(i64::from(version))
        .bind(self.now().as_millis())
        .bind(by)
        .bind(old.id.to_string())
        .bind(i64::from(old.version))
        .execute(self.db())
        .await
        .map_err(failed)?;
        one_row(&done, "secret")?;
        self.add_version(old.project, old.id, old.kind, version, entries, by).await?;
        self.list_secret(old.project, old.id, Some(was)).await?;
        self.must_find(old.project, old.id).await
    }

    async fn add_version(
        &mut self,
        project: ProjectId,
        id: SecretId,
        kind: SecretKind,
        version: u32,
        entries: &Entries,
        by: &str,
    ) -> Result<(), StoreError> {
        let key = self.project_key(project).await?;
        let plain = encode(entries);
        let sealed = key.seal(&place("secret-entries", project, id, kind, version), &plain);
        let summary = serde_json::to_vec(&SecretSummary::of(kind, entries)).expect("a map of text is JSON");
        let summary = key.seal(&place("secret-summary", project, id, kind, version), &summary);
        let failed = self.failed("secret version");
        sqlx::query(
            "INSERT INTO secret_versions (secret_id, version, entries, summary, digest, created_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id.to_string())
        .bind(i64::from(version))
        .bind(sealed.as_bytes())
        .bind(summary.as_bytes())
        .bind(version_digest(sealed.as_bytes(), summary.as_bytes()).as_slice())
        .bind(self.now().as_millis())
        .bind(by)
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    pub(super) async fn must_find(&mut self, project: ProjectId, id: SecretId) -> Result<Secret, StoreError> {
        self.secret(project, id).await?.ok_or_else(|| StoreError::damaged("a secret that was just saved is not there"))
    }

    /// Deletes versions beyond the newest `keep`, but for those `in_use`; how many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn prune_secret(&mut self, secret: &Secret, keep: u32, in_use: &[u32]) -> Result<u64, StoreError> {
        let was = self.carried_mac(Listed::Secret, &secret.id.to_string()).await?;
        let in_use = serde_json::to_string(in_use).expect("numbers are JSON");
        let failed = self.failed("");
        let done = sqlx::query(
            "DELETE FROM secret_versions WHERE secret_id = $1 AND version <= $2 \
             AND version NOT IN (SELECT value FROM json_each($3))",
        )
        .bind(secret.id.to_string())
        .bind(i64::from(secret.version) - i64::from(keep.max(1)))
        .bind(in_use)
        .execute(self.db())
        .await
        .map_err(failed)?;
        if done.rows_affected() > 0 {
            self.list_secret(secret.project, secret.id, Some(was)).await?;
        }
        Ok(done.rows_affected())
    }
}
