//! Workloads: what a session launched, frozen as it was launched, and what became of it.
//!
//! The manifest is sealed like the service's. Of secrets only ids, names and versions are recorded, never values.

use meshkeep_core::{
    Timestamp,
    id::{ProjectId, ServiceId, SessionId, WorkloadId},
    name::ServiceName,
    secret::SecretRef,
    service::ServiceSpec,
    workload::WorkloadState,
};
use meshkeep_seal::{Context, ProjectKey};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;

use crate::{
    StoreError, Tx,
    nouns::{
        new_id,
        service::{open_spec, seal_spec},
    },
    row::Columns,
    tx::one_row,
};

/// Who asked for a workload while its session ran. It runs once: it is not started again when it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The participant's id then.
    pub participant: String,
    /// The participant's name.
    pub name: String,
    /// A container of its own, of no saved service.
    pub ad_hoc: bool,
}

/// A workload as recorded.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Id.
    pub id: WorkloadId,
    /// Its session.
    pub session: SessionId,
    /// The service.
    pub service: ServiceId,
    /// The service's name when it was launched.
    pub service_name: ServiceName,
    /// Its place on the session's network.
    pub place: u8,
    /// Who asked for it; none for what the session runs by itself.
    pub asked: Option<Asked>,
    /// The manifest it was launched from.
    pub spec: ServiceSpec,
    /// Which versions its environment is made of, in the order they are bound.
    pub secrets: Vec<SecretRef>,
    /// The pull secrets of which one opens its image.
    pub pull_secrets: Vec<SecretRef>,
    /// Its state.
    pub state: WorkloadState,
    /// The fetched image, as the image crate wrote it.
    pub image: Option<String>,
    /// Which start, from 0.
    pub attempt: u32,
    /// Restarts after crashes.
    pub restarts: u32,
    /// Of the last exit.
    pub exit_code: Option<i32>,
    /// When its process last started.
    pub started_at: Option<Timestamp>,
}

/// What changes in a workload's life.
#[derive(Clone, Debug)]
pub struct WorkloadUpdate<'a> {
    /// Its state.
    pub state: &'a WorkloadState,
    /// The fetched image, as JSON.
    pub image: Option<&'a str>,
    /// Which start.
    pub attempt: u32,
    /// Restarts after crashes.
    pub restarts: u32,
    /// Of the last exit.
    pub exit_code: Option<i32>,
    /// When its process last started.
    pub started_at: Option<Timestamp>,
}

fn place(project: ProjectId, id: WorkloadId) -> Context {
    Context::new("workload-manifest").part(project.to_string()).part(id.to_string())
}

fn read(key: &ProjectKey, project: ProjectId, row: &SqliteRow) -> Result<Workload, StoreError> {
    let id = row.parsed("id")?;
    let small = |n: u32| u8::try_from(n).map_err(|_| StoreError::damaged("a workload has no place on its network"));
    let exit_code = row.maybe_number("exit_code")?.map(i32::try_from).transpose();
    Ok(Workload {
        id,
        session: row.parsed("session_id")?,
        service: row.parsed("service_id")?,
        service_name: row.parsed("service_name")?,
        place: small(row.count("place")?)?,
        asked: row.maybe_json("asked")?,
        spec: open_spec(key, &place(project, id), row.bytes("manifest")?)?,
        secrets: row.json("secrets")?,
        pull_secrets: row.json("pull_secrets")?,
        state: row.json("state")?,
        image: row.maybe_text("image")?,
        attempt: row.count("attempt")?,
        restarts: row.count("restarts")?,
        exit_code: exit_code.map_err(|_| StoreError::damaged("a workload has an impossible exit code"))?,
        started_at: row.maybe_time("started_at")?,
    })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("references and states are JSON")
}

impl Tx {
    /// Records a workload before anything is done for it. `workload.id` is set here.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn create_workload(&mut self, project: ProjectId, workload: &mut Workload) -> Result<(), StoreError> {
        workload.id = WorkloadId::from_uuid(new_id());
        let sealed = seal_spec(&self.project_key(project).await?, &place(project, workload.id), &workload.spec);
        let failed = self.failed("service's workload");
        sqlx::query(
            "INSERT INTO workloads (id, session_id, service_id, service_name, place, manifest, secrets, pull_secrets, \
             state, attempt, restarts, asked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(workload.id.to_string())
        .bind(workload.session.to_string())
        .bind(workload.service.to_string())
        .bind(workload.service_name.as_str())
        .bind(i64::from(workload.place))
        .bind(sealed.as_bytes())
        .bind(json(&workload.secrets))
        .bind(json(&workload.pull_secrets))
        .bind(json(&workload.state))
        .bind(i64::from(workload.attempt))
        .bind(i64::from(workload.restarts))
        .bind(workload.asked.as_ref().map(json))
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// Records what became of it; false when it was forgotten meanwhile.
    ///
    /// # Errors
    /// What the database says.
    pub async fn save_workload(&mut self, id: WorkloadId, update: &WorkloadUpdate<'_>) -> Result<bool, StoreError> {
        let failed = self.failed("");
        let done = sqlx::query(
            "UPDATE workloads SET state = $1, image = COALESCE($2, image), attempt = $3, restarts = $4, exit_code = $5, \
             started_at = $6 WHERE id = $7",
        )
        .bind(json(update.state))
        .bind(update.image)
        .bind(i64::from(update.attempt))
        .bind(i64::from(update.restarts))
        .bind(update.exit_code.map(i64::from))
        .bind(update.started_at.map(Timestamp::as_millis))
        .bind(id.to_string())
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    /// Records that it is launched anew by hand: another manifest, other versions, an image that was proven anew.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn relaunch_workload(&mut self, project: ProjectId, workload: &Workload) -> Result<(), StoreError> {
        let sealed = seal_spec(&self.project_key(project).await?, &place(project, workload.id), &workload.spec);
        let failed = self.failed("");
        let done = sqlx::query(
            "UPDATE workloads SET manifest = $1, secrets = $2, pull_secrets = $3, state = $4, attempt = $5, image = $6, \
             restarts = 0 WHERE id = $7",
        )
        .bind(sealed.as_bytes())
        .bind(json(&workload.secrets))
        .bind(json(&workload.pull_secrets))
        .bind(json(&workload.state))
        .bind(i64::from(workload.attempt))
        .bind(workload.image.as_deref())
        .bind(workload.id.to_string())
        .execute(self.db())
        .await
        .map_err(failed)?;
        one_row(&done, "workload")
    }

    /// Forgets a workload that does not run any more.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn forget_workload(&mut self, id: WorkloadId) -> Result<(), StoreError> {
        let failed = self.failed("");
        let done = sqlx::query("DELETE FROM workloads WHERE id = $1")
            .bind(id.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, "workload")
    }

    /// A session's workloads, by place.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn workloads(&mut self, project: ProjectId, session: SessionId) -> Result<Vec<Workload>, StoreError> {
        let key = self.project_key(project).await?;
        let failed = self.failed("");
        let rows = sqlx::query("SELECT * FROM workloads WHERE session_id = $1 ORDER BY place")
            .bind(session.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        rows.iter().map(|row| read(&key, project, row)).collect()
    }
}
