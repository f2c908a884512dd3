//! Rolling restarts: what was begun, and how far each session is.

use meshkeep_core::{
    Timestamp,
    id::{ProjectId, RestartId, ServiceId, SessionId},
    name::{RoomName, ServiceName},
    wire::{Reason, RestartOutcome, RestartState},
};
use sqlx::sqlite::SqliteRow;

use crate::{Service, StoreError, Tx, nouns::new_id, row::Columns, tx::one_row};

/// A rolling restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollingRestart {
    /// Id.
    pub id: RestartId,
    /// The project.
    pub project: ProjectId,
    /// The service.
    pub service: ServiceId,
    /// Its name when it was begun.
    pub service_name: ServiceName,
    /// How far it is.
    pub state: RestartState,
    /// Who began it.
    pub actor: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was done or stopped.
    pub ended_at: Option<Timestamp>,
    /// Its sessions, in the order in which they are restarted.
    pub steps: Vec<RestartStep>,
}

/// One session of a rolling restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartStep {
    /// Its place in the order, from 0.
    pub place: u32,
    /// The session.
    pub session: SessionId,
    /// Its room's name.
    pub room_name: RoomName,
    /// What came of it.
    pub outcome: RestartOutcome,
    /// Why it failed or was skipped.
    pub reason: Option<Reason>,
    /// Which launch of the workload was there before; set from when it is being restarted on.
    pub generation: Option<i64>,
}

fn read(row: &SqliteRow) -> Result<RollingRestart, StoreError> {
    Ok(RollingRestart {
        id: row.parsed("id")?,
        project: row.parsed("project_id")?,
        service: row.parsed("service_id")?,
        service_name: row.parsed("service_name")?,
        state: row.parsed("state")?,
        actor: row.text("actor")?,
        created_at: row.time("created_at")?,
        ended_at: row.maybe_time("ended_at")?,
        steps: Vec::new(),
    })
}

fn read_step(row: &SqliteRow) -> Result<RestartStep, StoreError> {
    Ok(RestartStep {
        place: row.count("place")?,
        session: row.parsed("session_id")?,
        room_name: row.parsed("room_name")?,
        outcome: row.parsed("outcome")?,
        reason: row.maybe_json("reason")?,
        generation: row.maybe_number("generation")?,
    })
}

impl Tx {
    /// Begins one over all running sessions that have the service, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Taken`] while another one of the service runs.
    pub async fn begin_rolling_restart(
        &mut self,
        project: ProjectId,
        service: &Service,
        actor: &str,
    ) -> Result<RollingRestart, StoreError> {
        let id = RestartId::from_uuid(new_id());
        let failed = self.failed("rolling restart");
        sqlx::query(
            "INSERT INTO rolling_restarts (id, project_id, service_id, service_name, state, actor, created_at) \
             VALUES ($1, $2, $3, $4, 'running', $5, $6)",
        )
        .bind(id.to_string())
        .bind(project.to_string())
        .bind(service.id.to_string())
        .bind(service.name.as_str())
        .bind(actor)
        .bind(self.now().as_millis())
        .execute(self.db())
        .await
        .map_err(&failed)?;
        sqlx::query(
            "INSERT INTO rolling_restart_steps (restart_id, place, session_id, room_name, outcome) \
             SELECT $1, ROW_NUMBER() OVER (ORDER BY s.created_at, s.id) - 1, s.id, s.room_name, 'pending' FROM sessions s \
             JOIN workloads w ON w.session_id = s.id \
             WHERE s.project_id = $2 AND s.ended_at IS NULL AND w.service_id = $3",
        )
        .bind(id.to_string())
        .bind(project.to_string())
        .bind(service.id.to_string())
        .execute(self.db())
        .await
        .map_err(&failed)?;
        let begun = self.newest_rolling_restart(project, service.id).await?;
        begun.ok_or_else(|| StoreError::damaged("a rolling restart that was just begun is not there"))
    }

    /// The newest one of a service.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn newest_rolling_restart(
        &mut self,
        project: ProjectId,
        service: ServiceId,
    ) -> Result<Option<RollingRestart>, StoreError> {
        let failed = self.failed("");
        let row = sqlx::query(
            "SELECT * FROM rolling_restarts WHERE project_id = $1 AND service_id = $2 ORDER BY created_at DESC, id DESC LIMIT 1",
        )
        .bind(project.to_string())
        .bind(service.to_string())
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        match row {
            Some(row) => self.with_steps(read(&row)?).await.map(Some),
            None => Ok(None),
        }
    }

    /// Those that a server did not bring to their end.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn running_rolling_restarts(&mut self) -> Result<Vec<RollingRestart>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("SELECT * FROM rolling_restarts WHERE state = 'running' ORDER BY created_at, id")
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        let mut running = Vec::new();
        for row in &rows {
            running.push(self.with_steps(read(row)?).await?);
        }
        Ok(running)
    }

    async fn with_steps(&mut self, mut restart: RollingRestart) -> Result<RollingRestart, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("SELECT * FROM rolling_restart_steps WHERE restart_id = $1 ORDER BY place")
            .bind(restart.id.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        restart.steps = rows.iter().map(read_step).collect::<Result<_, _>>()?;
        Ok(restart)
    }

    /// Records how far one session is.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn save_restart_step(&mut self, id: RestartId, step: &RestartStep) -> Result<(), StoreError> {
        let failed = self.failed("");
        let done = sqlx::query(
            "UPDATE rolling_restart_steps SET outcome = $1, reason = $2, generation = $3 WHERE restart_id = $4 AND place = $5",
        )
        .bind(step.outcome.as_str())
        .bind(step.reason.as_ref().map(|reason| serde_json::to_string(reason).expect("a reason is JSON")))
        .bind(step.generation)
        .bind(id.to_string())
        .bind(i64::from(step.place))
        .execute(self.db())
        .await
        .map_err(failed)?;
        one_row(&done, "step of a rolling restart")
    }

    /// Records its end.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn end_rolling_restart(&mut self, id: RestartId, state: RestartState) -> Result<(), StoreError> {
        let failed = self.failed("");
        let done =
            sqlx::query("UPDATE rolling_restarts SET state = $1, ended_at = $2 WHERE id = $3 AND state = 'running'")
                .bind(state.as_str())
                .bind(self.now().as_millis())
                .bind(id.to_string())
                .execute(self.db())
                .await
                .map_err(failed)?;
        one_row(&done, "running rolling restart")
    }
}
