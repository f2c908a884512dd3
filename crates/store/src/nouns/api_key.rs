//! API keys. The secret part is sealed and recoverable: it verifies the tokens that the key's holder signs.

use meshkeep_core::{
    SecretText, Timestamp,
    access::{Grant, Role},
    id::{ApiKeyId, ProjectId, ServiceId},
};
use meshkeep_seal::{Context, Mac, ProjectKey, Sealed};
use sqlx::sqlite::SqliteRow;

use crate::{
    StoreError, Tx,
    nouns::{
        list::{Listed, digest, row_mac},
        new_id,
        server::text,
    },
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

/// Over all of the row: who may write the file must not be able to make a member an admin.
fn row_digest(seal: &ProjectKey, row: &SqliteRow) -> Result<Mac, StoreError> {
    let project = row.parsed("project_id")?;
    let mut parts = Vec::with_capacity(9);
    for column in ["id", "name", "description", "role", "created_by"] {
        parts.push(row.text(column)?.into_bytes());
    }
    parts.push(row.maybe_text("service_id")?.unwrap_or_default().into_bytes());
    parts.push(row.number("created_at")?.to_be_bytes().to_vec());
    parts.push(vec![u8::from(row.flag("bind")?)]);
    parts.push(row.bytes("sealed")?);
    Ok(row_mac(seal, project, Listed::ApiKey, &parts))
}

fn open_row(seal: &ProjectKey, row: &SqliteRow) -> Result<(ApiKey, SecretText), StoreError> {
    let key = read(row)?;
    let what = format!("the API key {}", key.id);
    if !row_digest(seal, row)?.fits(&row.bytes("mac")?) {
        return Err(StoreError::damaged(format!("{what} is not as it was made")));
    }
    let plain = seal
        .open(&context(key.project, key.id), &Sealed::from_bytes(row.bytes("sealed")?))
        .map_err(|error| StoreError::unopened(&what, error))?;
    Ok((key, text(&what, plain)?))
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
        let seal = self.project_key(project).await?;
        let sealed = seal.seal(&context(project, key.id), new.secret.expose().as_bytes());
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
        let row =
            self.api_key_row(key.id).await?.ok_or_else(|| StoreError::damaged("a key that was just made is gone"))?;
        let mac = row_digest(&seal, &row)?;
        self.carry_mac(Listed::ApiKey, &key.id.to_string(), &mac).await?;
        self.relist(project, &seal, None, Some(&mac)).await?;
        Ok(key)
    }

    /// A key with its secret, which the caller compares in constant time and drops.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn api_key(&mut self, id: ApiKeyId) -> Result<Option<(ApiKey, SecretText)>, StoreError> {
        let Some(row) = self.api_key_row(id).await? else { return Ok(None) };
        self.suspect(&id.to_string())?;
        let seal = self.project_key(row.parsed("project_id")?).await?;
        open_row(&seal, &row).map(Some)
    }

    async fn api_key_row(&mut self, id: ApiKeyId) -> Result<Option<SqliteRow>, StoreError> {
        let failed = self.failed("");
        sqlx::query("SELECT * FROM api_keys WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.db())
            .await
            .map_err(failed)
    }

    /// Whether a row is as it was made, and opens.
    pub(crate) async fn api_key_fits(&mut self, seal: &ProjectKey, id: &str) -> Result<bool, StoreError> {
        let id = id.parse().map_err(|_| StoreError::damaged("has no good id"))?;
        let row = self.api_key_row(id).await?.ok_or_else(|| StoreError::damaged("is not there"))?;
        open_row(seal, &row).map(|_| true)
    }

    /// The digest that a row should carry.
    pub(crate) async fn api_key_row_mac(&mut self, seal: &ProjectKey, id: &str) -> Result<Mac, StoreError> {
        let id = id.parse().map_err(|_| StoreError::damaged("has no good id"))?;
        let row = self.api_key_row(id).await?.ok_or_else(|| StoreError::damaged("is not there"))?;
        row_digest(seal, &row)
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
        let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM api_keys WHERE service_id = $1")
            .bind(service.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        let ids: Vec<ApiKeyId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        for id in &ids {
            self.remove_api_key(*id).await?;
        }
        Ok(ids)
    }

    /// Deletes a key; its tokens die with it. False when it was not there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_api_key(&mut self, project: ProjectId, id: ApiKeyId) -> Result<bool, StoreError> {
        let Some(row) = self.api_key_row(id).await? else { return Ok(false) };
        if row.parsed::<ProjectId>("project_id")? != project {
            return Ok(false);
        }
        self.remove_api_key(id).await?;
        Ok(true)
    }

    async fn remove_api_key(&mut self, id: ApiKeyId) -> Result<(), StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("DELETE FROM api_keys WHERE id = $1 RETURNING project_id, mac")
            .bind(id.to_string())
            .fetch_one(self.db())
            .await
            .map_err(failed)?;
        let project = row.parsed("project_id")?;
        let seal = self.project_key(project).await?;
        self.relist(project, &seal, Some(digest(row.bytes("mac")?)?), None).await
    }
}
