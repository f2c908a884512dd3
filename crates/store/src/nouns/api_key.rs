//! API keys. The secret part is sealed and recoverable: it verifies the tokens that the key's holder signs.

use meshkeep_core::{
    SecretText, Timestamp,
    access::{Grant, Role},
    id::{ApiKeyId, ProjectId, ServiceId},
};
use meshkeep_seal::{Context, Sealed};
use sqlx::sqlite::SqliteRow;

use crate::{
    StoreError, Tx,
    nouns::{new_id, server::text},
    row::Columns,
};

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Id.
    pub id: ApiKeyId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What it is worth.
    pub grant: Grant,
    /// The service for whose own use it was made.
    pub service: Option<ServiceId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A key to make.
pub struct NewApiKey<'a> {
    /// Name.
    pub name: &'a str,
    /// Free text.
    pub description: &'a str,
    /// What it is worth.
    pub grant: Grant,
    /// The service for whose own use it is made.
    pub service: Option<ServiceId>,
    /// The secret part.
    pub secret: &'a SecretText,
    /// Who makes it.
    pub by: &'a str,
}

fn context(project: ProjectId, id: ApiKeyId) -> Context {
    Context::new("api-key").part(project.to_string()).part(id.to_string())
}

fn read(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    let role =
        Role::from_word(&row.text("role")?).ok_or_else(|| StoreError::damaged("an API key has an unknown role"))?;
    Ok(ApiKey {
        id: row.parsed("id")?,
        project: row.parsed("project_id")?,
        name: row.text("name")?,
        description: row.text("description")?,
        grant: Grant { role, bind: row.flag("bind")? },
        service: row.maybe_parsed("service_id")?,
        created_at: row.time("created_at")?,
    })
}

impl Tx {
    /// Makes a key.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn create_api_key(&mut self, project: ProjectId, new: NewApiKey<'_>) -> Result<ApiKey, StoreError> {
        let key = ApiKey {
            id: ApiKeyId::from_uuid(new_id()),
            project,
            name: new.name.to_owned(),
            description: new.description.to_owned(),
            grant: new.grant,
            service: new.service,
            created_at: self.now(),
        };
        let sealed = self.project_key(project).await?.seal(&context(project, key.id), new.secret.expose().as_bytes());
        let failed = self.failed("API key");
        sqlx::query(
            "INSERT INTO api_keys (id, project_id, name, description, role, bind, sealed, created_at, created_by, service_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(key.id.to_string())
        .bind(project.to_string())
        .bind(new.name)
        .bind(new.description)
        .bind(new.grant.role.as_str())
        .bind(new.grant.bind)
        .bind(sealed.as_bytes())
        .bind(key.created_at.as_millis())
        .bind(new.by)
        .bind(new.service.map(|id| id.to_string()))
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(key)
    }

    /// A key with its secret, which the caller compares in constant time and drops.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn api_key(&mut self, id: ApiKeyId) -> Result<Option<(ApiKey, SecretText)>, StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("SELECT * FROM api_keys WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let key = read(&row)?;
        let what = format!("the API key {id}");
        let plain = self
            .project_key(key.project)
            .await?
            .open(&context(key.project, id), &Sealed::from_bytes(row.bytes("sealed")?))
            .map_err(|error| StoreError::unopened(&what, error))?;
        Ok(Some((key, text(&what, plain)?)))
    }

    /// All keys of a project, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn api_keys(&mut self, project: ProjectId) -> Result<Vec<ApiKey>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("SELECT * FROM api_keys WHERE project_id = $1 ORDER BY created_at, id")
            .bind(project.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// The key of this name that was made for a service, with its secret.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn api_key_of(
        &mut self,
        service: ServiceId,
        name: &str,
    ) -> Result<Option<(ApiKey, SecretText)>, StoreError> {
        let failed = self.failed("");
        let id: Option<String> = sqlx::query_scalar("SELECT id FROM api_keys WHERE service_id = $1 AND name = $2")
            .bind(service.to_string())
            .bind(name)
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        match id.and_then(|id| id.parse().ok()) {
            Some(id) => self.api_key(id).await,
            None => Ok(None),
        }
    }

    /// Deletes the keys that were made for a service; which those were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_api_keys_of(&mut self, service: ServiceId) -> Result<Vec<ApiKeyId>, StoreError> {
        let failed = self.failed("");
        let ids: Vec<String> = sqlx::query_scalar("DELETE FROM api_keys WHERE service_id = $1 RETURNING id")
            .bind(service.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Deletes a key; its tokens die with it. False when it was not there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_api_key(&mut self, project: ProjectId, id: ApiKeyId) -> Result<bool, StoreError> {
        let failed = self.failed("");
        let done = sqlx::query("DELETE FROM api_keys WHERE id = $1 AND project_id = $2")
            .bind(id.to_string())
            .bind(project.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }
}
