//! Secrets: a stable name, numbered immutable versions, each sealed under its own data key.
//!
//! What lists show (entry names; a pull secret's server, user name and email) is sealed beside the values, so that a
//! stolen database shows nothing. Each secret's row carries a keyed digest over itself and over which versions it has.

mod delete;
mod entries;
mod row_digest;
mod save;

use std::collections::BTreeMap;

use meshkeep_core::{
    Timestamp,
    id::{ProjectId, SecretId},
    name::{EntryName, SecretName},
    secret::{Entries, SecretKind},
};
use meshkeep_seal::{Context, ProjectKey, Sealed};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;

use self::{entries::decode, row_digest::version_digest};
use crate::{StoreError, Tx, row::Columns};

pub use delete::DeletedSecret;

/// A secret, without values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Id.
    pub id: SecretId,
    /// The project that owns it.
    pub project: ProjectId,
    /// Name, unique in the project.
    pub name: SecretName,
    /// Kind; never changes.
    pub kind: SecretKind,
    /// The newest version.
    pub version: u32,
    /// What may be shown of the newest version.
    pub summary: SecretSummary,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last saved.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
    /// Its row does not open, or is not what was saved: it is listed, and used for nothing.
    pub damaged: bool,
}

/// What may be shown of a version: entry names, and for a pull secret the values of `server`, `username` and `email`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSummary(pub BTreeMap<EntryName, Option<String>>);

impl SecretSummary {
    fn of(kind: SecretKind, entries: &Entries) -> Self {
        let shown = |name: &EntryName| kind == SecretKind::Docker && name.as_str() != "password";
        Self(
            entries
                .iter()
                .map(|(name, value)| (name.clone(), shown(name).then(|| value.expose().to_owned())))
                .collect(),
        )
    }
}

/// A version, without values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVersion {
    /// From 1.
    pub version: u32,
    /// When it was saved.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// What may be shown of it.
    pub summary: SecretSummary,
}

const SELECT: &str = "SELECT s.*, v.summary FROM secrets s \
                      JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version";

fn place(part: &'static str, project: ProjectId, id: SecretId, kind: SecretKind, version: u32) -> Context {
    Context::new(part).part(project.to_string()).part(id.to_string()).part(kind.as_str()).part(version.to_be_bytes())
}

fn kind(row: &SqliteRow) -> Result<SecretKind, StoreError> {
    match row.text("kind")?.as_str() {
        "keys" => Ok(SecretKind::Keys),
        "docker" => Ok(SecretKind::Docker),
        _ => Err(StoreError::damaged("a secret has an unknown kind")),
    }
}

fn open_summary(
    key: &ProjectKey,
    id: SecretId,
    context: &Context,
    sealed: Vec<u8>,
) -> Result<SecretSummary, StoreError> {
    let what = format!("the summary of secret {id}");
    let plain = key.open(context, &Sealed::from_bytes(sealed)).map_err(|error| StoreError::unopened(&what, error))?;
    serde_json::from_slice(&plain).map_err(|_| StoreError::damaged(format!("{what} is not one")))
}

fn read(key: &ProjectKey, row: &SqliteRow) -> Result<Secret, StoreError> {
    let (id, project, kind, version) =
        (row.parsed("id")?, row.parsed("project_id")?, kind(row)?, row.count("version")?);
    Ok(Secret {
        id,
        project,
        name: row.parsed("name")?,
        kind,
        version,
        summary: open_summary(key, id, &place("secret-summary", project, id, kind, version), row.bytes("summary")?)?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        updated_by: row.text("updated_by")?,
        damaged: false,
    })
}

/// What can be listed of a row that does not open.
fn read_damaged(row: &SqliteRow) -> Result<Secret, StoreError> {
    Ok(Secret {
        id: row.parsed("id")?,
        project: row.parsed("project_id")?,
        name: row.parsed("name")?,
        kind: kind(row)?,
        version: row.count("version")?,
        summary: SecretSummary(BTreeMap::new()),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        updated_by: row.text("updated_by")?,
        damaged: true,
    })
}

fn open_entries(key: &ProjectKey, project: ProjectId, row: &SqliteRow) -> Result<Entries, StoreError> {
    let (id, version) = (row.parsed::<SecretId>("id")?, row.count("version")?);
    let what = format!("version {version} of secret {id}");
    let sealed = row.bytes("entries")?;
    if version_digest(&sealed, &row.bytes("summary")?).as_slice() != row.bytes("digest")? {
        return Err(StoreError::damaged(format!("{what} is not what was saved")));
    }
    let context = place("secret-entries", project, id, kind(row)?, version);
    let plain = key.open(&context, &Sealed::from_bytes(sealed)).map_err(|error| StoreError::unopened(&what, error))?;
    decode(&plain).ok_or_else(|| StoreError::damaged(format!("{what} does not hold entries")))
}

impl Tx {
    /// One secret of a project.
    ///
    /// # Errors
    /// Damage, which names it, or another root key.
    pub async fn secret(&mut self, project: ProjectId, id: SecretId) -> Result<Option<Secret>, StoreError> {
        let key = self.project_key(project).await?;
        let failed = self.failed("");
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE s.project_id = $1 AND s.id = $2 AND s.deleted_at IS NULL"
        )))
        .bind(project.to_string())
        .bind(id.to_string())
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        self.check_secret_row(&key, project, id).await?;
        read(&key, &row).map(Some)
    }

    /// All secrets of a project, by name. One that does not open is marked.
    ///
    /// # Errors
    /// Another root key.
    pub async fn secrets(&mut self, project: ProjectId) -> Result<Vec<Secret>, StoreError> {
        let key = self.project_key(project).await?;
        let failed = self.failed("");
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE s.project_id = $1 AND s.deleted_at IS NULL ORDER BY s.name"
        )))
        .bind(project.to_string())
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| match read(&key, row) {
                Err(StoreError::Damaged { .. }) => read_damaged(row),
                secret if self.suspect(&row.text("id")?).is_err() => secret.map(|s| Secret { damaged: true, ..s }),
                secret => secret,
            })
            .collect()
    }

    /// Opens one version's values. `None` when the secret or the version is not there.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn open_secret(
        &mut self,
        project: ProjectId,
        id: SecretId,
        version: u32,
    ) -> Result<Option<Entries>, StoreError> {
        let Some(row) = self.version_row(project, &id.to_string(), version.into()).await? else { return Ok(None) };
        if row.maybe_number("deleted_at")?.is_some() {
            return Ok(None);
        }
        let key = self.project_key(project).await?;
        self.check_secret_row(&key, project, id).await?;
        open_entries(&key, project, &row).map(Some)
    }

    async fn version_row(
        &mut self,
        project: ProjectId,
        id: &str,
        version: i64,
    ) -> Result<Option<SqliteRow>, StoreError> {
        let failed = self.failed("");
        sqlx::query(
            "SELECT s.id, s.kind, s.deleted_at, v.version, v.entries, v.summary, v.digest FROM secrets s \
             JOIN secret_versions v ON v.secret_id = s.id WHERE s.project_id = $1 AND s.id = $2 AND v.version = $3",
        )
        .bind(project.to_string())
        .bind(id)
        .bind(version)
        .fetch_optional(self.db())
        .await
        .map_err(failed)
    }

    /// Whether both parts of a version open, of a deleted secret too; both are wiped at once.
    pub(crate) async fn version_opens(
        &mut self,
        key: &ProjectKey,
        project: ProjectId,
        id: &str,
        version: i64,
    ) -> Result<(), StoreError> {
        let row = self.version_row(project, id, version).await?;
        let row = row.ok_or_else(|| StoreError::damaged("is not there"))?;
        open_entries(key, project, &row)?;
        let id = row.parsed("id")?;
        let context = place("secret-summary", project, id, kind(&row)?, row.count("version")?);
        open_summary(key, id, &context, row.bytes("summary")?).map(drop)
    }

    /// The numbers of the versions that there are.
    pub(crate) async fn versions_of(&mut self, id: &str) -> Result<Vec<i64>, StoreError> {
        let failed = self.failed("");
        sqlx::query_scalar("SELECT version FROM secret_versions WHERE secret_id = $1 ORDER BY version")
            .bind(id)
            .fetch_all(self.db())
            .await
            .map_err(failed)
    }

    /// All versions, newest first.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn secret_versions(&mut self, secret: &Secret) -> Result<Vec<SecretVersion>, StoreError> {
        let key = self.project_key(secret.project).await?;
        let failed = self.failed("");
        let rows = sqlx::query("SELECT * FROM secret_versions WHERE secret_id = $1 ORDER BY version DESC")
            .bind(secret.id.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        rows.iter()
            .map(|row| {
                let version = row.count("version")?;
                let context = place("secret-summary", secret.project, secret.id, secret.kind, version);
                Ok(SecretVersion {
                    version,
                    created_at: row.time("created_at")?,
                    created_by: row.text("created_by")?,
                    summary: open_summary(&key, secret.id, &context, row.bytes("summary")?)?,
                })
            })
            .collect()
    }
}
