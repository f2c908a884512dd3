//! What a database of an older version lacks besides columns: digests and lists that only who has the keys can make.

use meshkeep_core::id::{ProjectId, SecretId};
use meshkeep_seal::{Context, ProjectKey};
use sha2::{Digest, Sha256};

use crate::{
    Store, StoreError, Tx,
    nouns::list::{List, Listed},
    row::Columns as _,
};

impl Store {
    /// Makes them, in one transaction.
    pub(crate) async fn upgrade(&self) -> Result<(), StoreError> {
        let mut tx = self.write("upgrade").await?;
        let mut changed = false;
        if tx.audit_key().await?.is_none() {
            tx.keep_former_audit_key().await?;
            changed = true;
        }
        for project in tx.projects().await? {
            changed |= tx.upgrade_list(project.id).await?;
        }
        if changed { tx.commit().await } else { Ok(()) }
    }
}

impl Tx {
    /// Whether the project had a list of the older kind.
    async fn upgrade_list(&mut self, project: ProjectId) -> Result<bool, StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("SELECT list, list_counter FROM projects WHERE id = $1")
            .bind(project.to_string())
            .fetch_one(self.db())
            .await
            .map_err(failed)?;
        let former = row.bytes("list")?;
        if former.len() != 32 {
            return Ok(false);
        }
        let key = self.project_key(project).await?;
        let counter = row.number("list_counter")?;
        if self.former_list(&key, project, counter).await? != former {
            let what = format!("the secrets of project {project} are not those that its keyed list names");
            return Err(StoreError::damaged(what));
        }
        self.list_anew(project, &key, counter).await?;
        Ok(true)
    }

    /// Gives every row of the project its digest and makes its list of them, as if all were as it should be.
    pub(crate) async fn list_anew(
        &mut self,
        project: ProjectId,
        key: &ProjectKey,
        counter: i64,
    ) -> Result<(), StoreError> {
        self.digest_versions(project).await?;
        for kind in Listed::ALL {
            let failed = self.failed("");
            let sql = format!("SELECT id FROM {} WHERE project_id = $1", kind.table());
            let ids: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(project.to_string())
                .fetch_all(self.db())
                .await
                .map_err(failed)?;
            for id in ids {
                let mac = self.mac_of_row(kind, key, project, &id).await?;
                self.carry_mac(kind, &id, &mac).await?;
            }
        }
        let list: List = self.list_of_rows(project, counter + 1).await?;
        self.save_list(project, key, list).await
    }

    async fn digest_versions(&mut self, project: ProjectId) -> Result<(), StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT v.secret_id, v.version FROM secret_versions v JOIN secrets s ON s.id = v.secret_id \
             WHERE s.project_id = $1",
        )
        .bind(project.to_string())
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        for row in rows {
            let (id, version): (SecretId, i64) = (row.parsed("secret_id")?, row.number("version")?);
            self.digest_version(id, version).await?;
        }
        Ok(())
    }

    /// The list as it was made before rows had digests of their own: one digest over all.
    async fn former_list(&mut self, key: &ProjectKey, project: ProjectId, counter: i64) -> Result<Vec<u8>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT s.id, s.name, s.kind, s.version AS newest, v.version, v.entries, v.summary FROM secrets s \
             JOIN secret_versions v ON v.secret_id = s.id WHERE s.project_id = $1 ORDER BY s.id, v.version",
        )
        .bind(project.to_string())
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        let mut digests: Vec<[u8; 32]> = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut digest = Sha256::new();
            for text in ["id", "name", "kind"] {
                let text = row.text(text)?;
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(text.as_bytes());
            }
            digest.update(row.number("newest")?.to_be_bytes());
            digest.update(row.number("version")?.to_be_bytes());
            digest.update(Sha256::digest(row.bytes("entries")?));
            digest.update(Sha256::digest(row.bytes("summary")?));
            digests.push(digest.finalize().into());
        }
        let counter = counter.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&counter];
        parts.extend(digests.iter().map(<[u8; 32]>::as_slice));
        Ok(key.mac(&Context::new("secret-list").part(project.to_string()), &parts).0.to_vec())
    }
}
