//! What authenticates a secret's row: a keyed digest over its columns and over which versions it has.
//!
//! A version's own bytes are sealed to their place; its digest stands for them, so that no version need be read to check the
//! row.

use meshkeep_core::id::{ProjectId, SecretId};
use meshkeep_seal::{Mac, ProjectKey};
use sha2::{Digest, Sha256};

use crate::{
    StoreError, Tx,
    nouns::list::{Listed, row_mac},
    row::Columns as _,
};

/// SHA-256 over both sealed parts of a version.
pub(super) fn version_digest(entries: &[u8], summary: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(Sha256::digest(entries));
    digest.update(Sha256::digest(summary));
    digest.finalize().into()
}

impl Tx {
    /// Gives the secret's row its digest, and the project's list with it. `was` is the digest that it had.
    pub(super) async fn list_secret(
        &mut self,
        project: ProjectId,
        id: SecretId,
        was: Option<[u8; 32]>,
    ) -> Result<(), StoreError> {
        let key = self.project_key(project).await?;
        let (mac, _) = self.secret_row_mac(&key, project, &id.to_string()).await?;
        self.carry_mac(Listed::Secret, &id.to_string(), &mac).await?;
        self.relist(project, &key, was, Some(&mac)).await
    }

    /// Refuses a row that is not as it was saved.
    pub(crate) async fn check_secret_row(
        &mut self,
        key: &ProjectKey,
        project: ProjectId,
        id: SecretId,
    ) -> Result<(), StoreError> {
        self.suspect(&id.to_string())?;
        let (mac, carried) = self.secret_row_mac(key, project, &id.to_string()).await?;
        if mac.fits(&carried) {
            return Ok(());
        }
        Err(StoreError::damaged(format!("the row of secret {id} is not as it was saved")))
    }

    /// The digest that the secret's row should carry, and the one that it does; empty when it has none yet.
    pub(crate) async fn secret_row_mac(
        &mut self,
        key: &ProjectKey,
        project: ProjectId,
        id: &str,
    ) -> Result<(Mac, Vec<u8>), StoreError> {
        let failed = self.failed("");
        let row =
            sqlx::query("SELECT * FROM secrets WHERE id = $1").bind(id).fetch_one(self.db()).await.map_err(&failed)?;
        let versions = sqlx::query(
            "SELECT version, digest, created_at, created_by FROM secret_versions WHERE secret_id = $1 ORDER BY version",
        )
        .bind(id)
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        let mut parts: Vec<Vec<u8>> = Vec::with_capacity(9 + 4 * versions.len());
        for column in ["id", "name", "kind", "updated_by"] {
            parts.push(row.text(column)?.into_bytes());
        }
        for column in ["version", "created_at", "updated_at"] {
            parts.push(row.number(column)?.to_be_bytes().to_vec());
        }
        parts.push(row.maybe_number("deleted_at")?.map(|at| at.to_be_bytes().to_vec()).unwrap_or_default());
        parts.push(row.maybe_text("deleted_by")?.unwrap_or_default().into_bytes());
        for version in &versions {
            parts.push(version.number("version")?.to_be_bytes().to_vec());
            parts.push(version.bytes("digest")?);
            parts.push(version.number("created_at")?.to_be_bytes().to_vec());
            parts.push(version.text("created_by")?.into_bytes());
        }
        Ok((row_mac(key, project, Listed::Secret, &parts), row.maybe_bytes("mac")?.unwrap_or_default()))
    }

    /// Gives a version of before there were digests its own.
    pub(crate) async fn digest_version(&mut self, id: SecretId, version: i64) -> Result<(), StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("SELECT entries, summary FROM secret_versions WHERE secret_id = $1 AND version = $2")
            .bind(id.to_string())
            .bind(version)
            .fetch_one(self.db())
            .await
            .map_err(&failed)?;
        sqlx::query("UPDATE secret_versions SET digest = $1 WHERE secret_id = $2 AND version = $3")
            .bind(version_digest(&row.bytes("entries")?, &row.bytes("summary")?).as_slice())
            .bind(id.to_string())
            .bind(version)
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(())
    }
}
