//! Deleting: for a while a deleted secret can be put back; then it is gone.

use meshkeep_core::{
    Timestamp,
    id::{ProjectId, SecretId},
    name::SecretName,
    secret::SecretKind,
};

use super::{Secret, kind};
use crate::{StoreError, Tx, nouns::list::Listed, row::Columns as _, tx::one_row};

/// A secret that was deleted and can still be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedSecret {
    /// Id.
    pub id: SecretId,
    /// The name that it had.
    pub name: SecretName,
    /// Kind.
    pub kind: SecretKind,
    /// Its newest version.
    pub version: u32,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// By whom.
    pub deleted_by: String,
}

impl Tx {
    /// Deletes a secret: nothing finds or opens it any more, until it is restored.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_secret(&mut self, secret: &Secret, by: &str) -> Result<(), StoreError> {
        let was = self.carried_mac(Listed::Secret, &secret.id.to_string()).await?;
        let failed = self.failed("");
        let done =
            sqlx::query("UPDATE secrets SET deleted_at = $1, deleted_by = $2 WHERE id = $3 AND deleted_at IS NULL")
                .bind(self.now().as_millis())
                .bind(by)
                .bind(secret.id.to_string())
                .execute(self.db())
                .await
                .map_err(failed)?;
        one_row(&done, "secret")?;
        self.list_secret(secret.project, secret.id, Some(was)).await
    }

    /// Deleted secrets that can be put back, newest deletion first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn deleted_secrets(&mut self, project: ProjectId) -> Result<Vec<DeletedSecret>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT * FROM secrets WHERE project_id = $1 AND deleted_at IS NOT NULL ORDER BY deleted_at DESC, id",
        )
        .bind(project.to_string())
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| {
                Ok(DeletedSecret {
                    id: row.parsed("id")?,
                    name: row.parsed("name")?,
                    kind: kind(row)?,
                    version: row.count("version")?,
                    deleted_at: row.time("deleted_at")?,
                    deleted_by: row.maybe_text("deleted_by")?.unwrap_or_default(),
                })
            })
            .collect()
    }

    /// Puts a deleted secret back, with all its versions, under this name.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another secret has the name by now; damage.
    pub async fn restore_secret(
        &mut self,
        project: ProjectId,
        deleted: &DeletedSecret,
        name: &SecretName,
    ) -> Result<Secret, StoreError> {
        let key = self.project_key(project).await?;
        self.check_secret_row(&key, project, deleted.id).await?;
        let was = self.carried_mac(Listed::Secret, &deleted.id.to_string()).await?;
        let failed = self.failed("secret name");
        let done = sqlx::query("UPDATE secrets SET name = $1, deleted_at = NULL, deleted_by = NULL WHERE id = $2")
            .bind(name.as_str())
            .bind(deleted.id.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, "secret")?;
        self.list_secret(project, deleted.id, Some(was)).await?;
        self.must_find(project, deleted.id).await
    }

    /// Removes a deleted secret with all its versions, for ever.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn purge_secret(&mut self, project: ProjectId, id: SecretId) -> Result<(), StoreError> {
        let was = self.carried_mac(Listed::Secret, &id.to_string()).await?;
        let failed = self.failed("");
        let done = sqlx::query("DELETE FROM secrets WHERE id = $1 AND deleted_at IS NOT NULL")
            .bind(id.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, "secret")?;
        let key = self.project_key(project).await?;
        self.relist(project, &key, Some(was), None).await
    }
}
