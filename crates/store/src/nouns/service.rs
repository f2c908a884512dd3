//! Services. The whole manifest is sealed: `environment` values may be secrets too.

use meshkeep_core::{
    id::{ProjectId, RoomId, SecretId, ServiceId},
    name::{RoomName, ServiceName},
    page::{Page, Paged},
    service::ServiceSpec,
};
use meshkeep_seal::{Context, Mac, ProjectKey, Sealed};
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use crate::{
    StoreError, Tx,
    nouns::{
        list::{Listed, digest, row_mac},
        new_id,
    },
    row::Columns,
    tx::one_row,
};

/// Where a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In every room's session.
    Project,
    /// In one room's sessions.
    Room(RoomId),
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Id.
    pub id: ServiceId,
    /// Where it runs.
    pub scope: Scope,
    /// `metadata.name`.
    pub name: ServiceName,
    /// From 1, one more with every save.
    pub revision: u32,
    /// The manifest, in the clear.
    pub spec: ServiceSpec,
    /// Its row does not open, or is not what was saved: it is listed, with an empty manifest, and cannot start.
    pub damaged: bool,
}

/// A service by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRef {
    /// Id.
    pub id: ServiceId,
    /// Name.
    pub name: ServiceName,
}

fn place(project: ProjectId, id: ServiceId, revision: u32) -> Context {
    Context::new("service-manifest").part(project.to_string()).part(id.to_string()).part(revision.to_be_bytes())
}

pub(super) fn seal_spec(key: &ProjectKey, context: &Context, spec: &ServiceSpec) -> Sealed {
    let plain = Zeroizing::new(serde_json::to_vec(spec).expect("a manifest is JSON"));
    key.seal(context, &plain)
}

pub(super) fn open_spec(key: &ProjectKey, context: &Context, sealed: Vec<u8>) -> Result<ServiceSpec, StoreError> {
    let plain = key
        .open(context, &Sealed::from_bytes(sealed))
        .map_err(|error| StoreError::unopened("the manifest of a service", error))?;
    serde_json::from_slice(&plain).map_err(|_| StoreError::damaged("the manifest of a service is not one"))
}

fn read(key: &ProjectKey, project: ProjectId, row: &SqliteRow) -> Result<Service, StoreError> {
    if !row_digest(key, project, row)?.fits(&row.bytes("mac")?) {
        return Err(StoreError::damaged(format!("the row of service {} is not as it was saved", row.text("id")?)));
    }
    open_row(key, project, row)
}

fn open_row(key: &ProjectKey, project: ProjectId, row: &SqliteRow) -> Result<Service, StoreError> {
    let (id, revision) = (row.parsed("id")?, row.count("revision")?);
    Ok(Service {
        id,
        scope: row.maybe_parsed("room_id")?.map_or(Scope::Project, Scope::Room),
        name: row.parsed("name")?,
        revision,
        spec: open_spec(key, &place(project, id, revision), row.bytes("manifest")?)?,
        damaged: false,
    })
}

/// As listed, also when it does not open.
fn listed(key: &ProjectKey, project: ProjectId, row: &SqliteRow) -> Result<Service, StoreError> {
    match read(key, project, row) {
        Err(StoreError::Damaged { .. }) => {
            let name: ServiceName = row.parsed("name")?;
            Ok(Service {
                id: row.parsed("id")?,
                scope: row.maybe_parsed("room_id")?.map_or(Scope::Project, Scope::Room),
                spec: ServiceSpec::bare(name.as_str()),
                name,
                revision: row.count("revision")?,
                damaged: true,
            })
        }
        read => read,
    }
}

/// Over what says which manifest is whose; what names its secrets is read from the manifest itself.
fn row_digest(key: &ProjectKey, project: ProjectId, row: &SqliteRow) -> Result<Mac, StoreError> {
    let mut parts = Vec::with_capacity(6);
    for column in ["id", "name"] {
        parts.push(row.text(column)?.into_bytes());
    }
    parts.push(row.maybe_text("room_id")?.unwrap_or_default().into_bytes());
    for column in ["revision", "created_at", "updated_at"] {
        parts.push(row.number(column)?.to_be_bytes().to_vec());
    }
    parts.push(row.bytes("manifest")?);
    Ok(row_mac(key, project, Listed::Service, &parts))
}

const fn room_of(scope: Scope) -> Option<RoomId> {
    match scope {
        Scope::Project => None,
        Scope::Room(room) => Some(room),
    }
}

impl Tx {
    /// Makes a service.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when the scope has one of this name.
    pub async fn create_service(
        &mut self,
        project: ProjectId,
        scope: Scope,
        name: &ServiceName,
        spec: &ServiceSpec,
        secrets: &[SecretId],
    ) -> Result<Service, StoreError> {
        let id = ServiceId::from_uuid(new_id());
        let mut spec = spec.clone();
        spec.id = Some(id.to_string());
        let sealed = seal_spec(&self.project_key(project).await?, &place(project, id, 1), &spec);
        let failed = self.failed("service name");
        sqlx::query(
            "INSERT INTO services (id, project_id, room_id, name, revision, manifest, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, 1, $5, $6, $6)",
        )
        .bind(id.to_string())
        .bind(project.to_string())
        .bind(room_of(scope).map(|room| room.to_string()))
        .bind(name.as_str())
        .bind(sealed.as_bytes())
        .bind(self.now().as_millis())
        .execute(self.db())
        .await
        .map_err(failed)?;
        self.name_secrets(id, secrets).await?;
        self.list_service(project, id, None).await?;
        Ok(Service { id, scope, name: name.clone(), revision: 1, spec, damaged: false })
    }

    /// Replaces a service's manifest.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another service of the scope has the name.
    pub async fn save_service(
        &mut self,
        project: ProjectId,
        old: &Service,
        name: &ServiceName,
        spec: &ServiceSpec,
        secrets: &[SecretId],
    ) -> Result<Service, StoreError> {
        let (revision, was) = (old.revision + 1, self.carried_mac(Listed::Service, &old.id.to_string()).await?);
        let mut spec = spec.clone();
        spec.id = Some(old.id.to_string());
        let sealed = seal_spec(&self.project_key(project).await?, &place(project, old.id, revision), &spec);
        let failed = self.failed("service name");
        let done =
            sqlx::query("UPDATE services SET name = $1, revision = $2, manifest = $3, updated_at = $4 WHERE id = $5")
                .bind(name.as_str())
                .bind(i64::from(revision))
                .bind(sealed.as_bytes())
                .bind(self.now().as_millis())
                .bind(old.id.to_string())
                .execute(self.db())
                .await
                .map_err(failed)?;
        one_row(&done, "service")?;
        self.name_secrets(old.id, secrets).await?;
        self.list_service(project, old.id, Some(was)).await?;
        Ok(Service { id: old.id, scope: old.scope, name: name.clone(), revision, spec, damaged: false })
    }

    async fn list_service(
        &mut self,
        project: ProjectId,
        id: ServiceId,
        was: Option<[u8; 32]>,
    ) -> Result<(), StoreError> {
        let key = self.project_key(project).await?;
        let mac = self.service_row_mac(&key, project, &id.to_string()).await?;
        self.carry_mac(Listed::Service, &id.to_string(), &mac).await?;
        self.relist(project, &key, was, Some(&mac)).await
    }

    /// Whether a row is as it was saved.
    pub(crate) async fn service_fits(
        &mut self,
        key: &ProjectKey,
        project: ProjectId,
        id: &str,
    ) -> Result<bool, StoreError> {
        let row = self.service_row(id).await?;
        read(key, project, &row).map(|_| true)
    }

    /// Whether the manifest of a row opens.
    pub(crate) async fn service_opens(&mut self, key: &ProjectKey, project: ProjectId, id: &str) -> bool {
        let Ok(row) = self.service_row(id).await else { return false };
        open_row(key, project, &row).is_ok()
    }

    /// The digest that a row should carry.
    pub(crate) async fn service_row_mac(
        &mut self,
        key: &ProjectKey,
        project: ProjectId,
        id: &str,
    ) -> Result<Mac, StoreError> {
        row_digest(key, project, &self.service_row(id).await?)
    }

    async fn service_row(&mut self, id: &str) -> Result<SqliteRow, StoreError> {
        let failed = self.failed("");
        sqlx::query("SELECT * FROM services WHERE id = $1").bind(id).fetch_one(self.db()).await.map_err(failed)
    }

    async fn name_secrets(&mut self, id: ServiceId, secrets: &[SecretId]) -> Result<(), StoreError> {
        let failed = self.failed("");
        sqlx::query("DELETE FROM service_secrets WHERE service_id = $1")
            .bind(id.to_string())
            .execute(self.db())
            .await
            .map_err(&failed)?;
        for secret in secrets {
            sqlx::query("INSERT INTO service_secrets (service_id, secret_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(id.to_string())
                .bind(secret.to_string())
                .execute(self.db())
                .await
                .map_err(&failed)?;
        }
        Ok(())
    }

    /// One service of a scope.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn service(
        &mut self,
        project: ProjectId,
        scope: Scope,
        id: ServiceId,
    ) -> Result<Option<Service>, StoreError> {
        let key = self.project_key(project).await?;
        let failed = self.failed("");
        let row = sqlx::query(
            "SELECT * FROM services WHERE project_id = $1 AND COALESCE(room_id, '') = COALESCE($2, '') AND id = $3",
        )
        .bind(project.to_string())
        .bind(room_of(scope).map(|room| room.to_string()))
        .bind(id.to_string())
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        self.suspect(&id.to_string())?;
        row.map(|row| read(&key, project, &row)).transpose()
    }

    /// A page of the services of all scopes, by name, each with its room's name. The query looks at names.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn search_services(
        &mut self,
        project: ProjectId,
        page: &Page,
    ) -> Result<Paged<(Service, Option<RoomName>)>, StoreError> {
        const FOUND: &str = "FROM services s LEFT JOIN rooms r ON r.id = s.room_id \
             WHERE s.project_id = $1 AND s.name LIKE $2 ESCAPE '\\'";
        let key = self.project_key(project).await?;
        let failed = self.failed("");
        let total = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) AS total {FOUND}")))
            .bind(project.to_string())
            .bind(page.pattern())
            .fetch_one(self.db())
            .await
            .map_err(&failed)?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT s.*, r.name AS room_name {FOUND} ORDER BY s.name, room_name LIMIT $3 OFFSET $4"
        )))
        .bind(project.to_string())
        .bind(page.pattern())
        .bind(i64::from(page.limit))
        .bind(i64::from(page.offset))
        .fetch_all(self.db())
        .await
        .map_err(&failed)?;
        let items = rows.iter().map(|row| Ok((listed(&key, project, row)?, row.maybe_parsed("room_name")?)));
        Ok(Paged { items: items.collect::<Result<_, StoreError>>()?, total: total.number("total")?.unsigned_abs() })
    }

    /// All services of a scope, by name.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn services(&mut self, project: ProjectId, scope: Scope) -> Result<Vec<Service>, StoreError> {
        let key = self.project_key(project).await?;
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT * FROM services WHERE project_id = $1 AND COALESCE(room_id, '') = COALESCE($2, '') ORDER BY name",
        )
        .bind(project.to_string())
        .bind(room_of(scope).map(|room| room.to_string()))
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        rows.iter().map(|row| listed(&key, project, row)).collect()
    }

    /// Deletes a service.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_service(&mut self, project: ProjectId, service: &Service) -> Result<(), StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("DELETE FROM services WHERE id = $1 RETURNING mac")
            .bind(service.id.to_string())
            .fetch_one(self.db())
            .await
            .map_err(failed)?;
        let key = self.project_key(project).await?;
        self.relist(project, &key, Some(digest(row.bytes("mac")?)?), None).await
    }

    /// Deletes the services of a room.
    pub(crate) async fn delete_services_of(&mut self, room: RoomId) -> Result<(), StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("DELETE FROM services WHERE room_id = $1 RETURNING mac, project_id")
            .bind(room.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        for row in rows {
            let project = row.parsed("project_id")?;
            let key = self.project_key(project).await?;
            self.relist(project, &key, Some(digest(row.bytes("mac")?)?), None).await?;
        }
        Ok(())
    }

    /// Which services name each secret of the project, by name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn secret_users(&mut self, project: ProjectId) -> Result<Vec<(SecretId, ServiceRef)>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT u.secret_id, s.id, s.name FROM service_secrets u JOIN services s ON s.id = u.service_id \
             WHERE s.project_id = $1 ORDER BY s.name",
        )
        .bind(project.to_string())
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| Ok((row.parsed("secret_id")?, ServiceRef { id: row.parsed("id")?, name: row.parsed("name")? })))
            .collect()
    }
}
