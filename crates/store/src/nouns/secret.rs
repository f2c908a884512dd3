//! Secrets: a stable name, numbered immutable versions, each sealed under its own data key.
//!
//! What lists show (entry names; a pull secret's server, user name and email) is sealed beside the values, so that a
//! stolen database shows nothing. A keyed list over all versions of a project makes a removed or replayed row visible.

use std::collections::BTreeMap;

use meshkeep_core::{
    SecretText, Timestamp,
    id::{ProjectId, SecretId},
    name::{EntryName, SecretName},
    secret::{Entries, SecretKind},
};
use meshkeep_seal::{Context, Mac, ProjectKey, Sealed};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use crate::{StoreError, Tx, nouns::new_id, row::Columns, tx::one_row};

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

fn open_summary(key: &ProjectKey, context: &Context, sealed: Vec<u8>) -> Result<SecretSummary, StoreError> {
    let plain = key
        .open(context, &Sealed::from_bytes(sealed))
        .map_err(|error| StoreError::unopened("the summary of a secret", error))?;
    serde_json::from_slice(&plain).map_err(|_| StoreError::damaged("the summary of a secret is not one"))
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
        summary: open_summary(key, &place("secret-summary", project, id, kind, version), row.bytes("summary")?)?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        updated_by: row.text("updated_by")?,
    })
}

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
        let version = old.version + 1;
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
            "INSERT INTO secret_versions (secret_id, version, entries, summary, created_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.to_string())
        .bind(i64::from(version))
        .bind(sealed.as_bytes())
        .bind(summary.as_bytes())
        .bind(self.now().as_millis())
        .bind(by)
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.renew_secret_list(project).await
    }

    async fn must_find(&mut self, project: ProjectId, id: SecretId) -> Result<Secret, StoreError> {
        self.secret(project, id).await?.ok_or_else(|| StoreError::damaged("a secret that was just saved is not there"))
    }

    /// One secret of a project.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn secret(&mut self, project: ProjectId, id: SecretId) -> Result<Option<Secret>, StoreError> {
        let key = self.project_key(project).await?;
        let failed = self.failed("");
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE s.project_id = $1 AND s.id = $2")))
            .bind(project.to_string())
            .bind(id.to_string())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        row.map(|row| read(&key, &row)).transpose()
    }

    /// All secrets of a project, by name.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn secrets(&mut self, project: ProjectId) -> Result<Vec<Secret>, StoreError> {
        let key = self.project_key(project).await?;
        let failed = self.failed("");
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE s.project_id = $1 ORDER BY s.name")))
            .bind(project.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        rows.iter().map(|row| read(&key, row)).collect()
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
        let failed = self.failed("");
        let row = sqlx::query(
            "SELECT s.kind, v.entries FROM secrets s JOIN secret_versions v ON v.secret_id = s.id \
             WHERE s.project_id = $1 AND s.id = $2 AND v.version = $3",
        )
        .bind(project.to_string())
        .bind(id.to_string())
        .bind(i64::from(version))
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let context = place("secret-entries", project, id, kind(&row)?, version);
        let what = format!("version {version} of secret {id}");
        let plain = self
            .project_key(project)
            .await?
            .open(&context, &Sealed::from_bytes(row.bytes("entries")?))
            .map_err(|error| StoreError::unopened(&what, error))?;
        decode(&plain).map(Some).ok_or_else(|| StoreError::damaged(format!("{what} does not hold entries")))
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
                    summary: open_summary(&key, &context, row.bytes("summary")?)?,
                })
            })
            .collect()
    }

    /// Deletes versions beyond the newest `keep`, but for those `in_use`; how many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn prune_secret(&mut self, secret: &Secret, keep: u32, in_use: &[u32]) -> Result<u64, StoreError> {
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
            self.renew_secret_list(secret.project).await?;
        }
        Ok(done.rows_affected())
    }

    /// Deletes a secret with all its versions.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_secret(&mut self, secret: &Secret) -> Result<(), StoreError> {
        let failed = self.failed("");
        let done = sqlx::query("DELETE FROM secrets WHERE id = $1")
            .bind(secret.id.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, "secret")?;
        self.renew_secret_list(secret.project).await
    }

    pub(crate) fn secret_list_mac(key: &ProjectKey, project: ProjectId, counter: i64, rows: &[[u8; 32]]) -> Mac {
        let counter = counter.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&counter];
        parts.extend(rows.iter().map(<[u8; 32]>::as_slice));
        key.mac(&Context::new("secret-list").part(project.to_string()), &parts)
    }

    async fn renew_secret_list(&mut self, project: ProjectId) -> Result<(), StoreError> {
        let (key, rows) = (self.project_key(project).await?, self.secret_list_rows(project).await?);
        let failed = self.failed("");
        let counter: i64 = sqlx::query_scalar(
            "UPDATE projects SET list_counter = list_counter + 1 WHERE id = $1 RETURNING list_counter",
        )
        .bind(project.to_string())
        .fetch_one(self.db())
        .await
        .map_err(&failed)?;
        let done = sqlx::query("UPDATE projects SET list_mac = $1 WHERE id = $2")
            .bind(Self::secret_list_mac(&key, project, counter, &rows).0.as_slice())
            .bind(project.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, "project")
    }

    /// Compares the project's secrets with its keyed list.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row was removed, added or put back from an older time.
    pub async fn check_secret_list(&mut self, project: ProjectId) -> Result<(), StoreError> {
        let (key, rows) = (self.project_key(project).await?, self.secret_list_rows(project).await?);
        let failed = self.failed("");
        let row = sqlx::query("SELECT list_mac, list_counter FROM projects WHERE id = $1")
            .bind(project.to_string())
            .fetch_one(self.db())
            .await
            .map_err(failed)?;
        let mac = Self::secret_list_mac(&key, project, row.number("list_counter")?, &rows);
        if mac.fits(&row.bytes("list_mac")?) {
            return Ok(());
        }
        Err(StoreError::damaged(format!("the secrets of project {project} are not those that its keyed list names")))
    }

    async fn secret_list_rows(&mut self, project: ProjectId) -> Result<Vec<[u8; 32]>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT s.id, s.name, s.kind, s.version AS newest, v.version, v.entries, v.summary FROM secrets s \
             JOIN secret_versions v ON v.secret_id = s.id WHERE s.project_id = $1 ORDER BY s.id, v.version",
        )
        .bind(project.to_string())
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| {
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
                Ok(digest.finalize().into())
            })
            .collect()
    }
}

/// Entries as bytes: for each, name and value, each behind its length (32 bits, big-endian).
fn encode(entries: &Entries) -> Zeroizing<Vec<u8>> {
    let size = entries.iter().map(|(name, value)| 8 + name.as_str().len() + value.len()).sum();
    // Made at its full size: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    for (name, value) in entries {
        for text in [name.as_str(), value.expose()] {
            let length = u32::try_from(text.len()).expect("values are bounded far below 4 GiB when they are saved");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<Entries> {
    let mut entries = Entries::new();
    while !bytes.is_empty() {
        let mut next = || {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            bytes = rest;
            std::str::from_utf8(text).ok()
        };
        let name = next()?.parse().ok()?;
        entries.insert(name, SecretText::from(next()?));
    }
    Some(entries)
}
