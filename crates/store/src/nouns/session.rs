//! Sessions.

use meshkeep_core::{
    Timestamp,
    id::{ProjectId, RoomId, SessionId},
    name::RoomName,
};
use sqlx::sqlite::SqliteRow;

use crate::{Room, StoreError, Tx, nouns::new_id, row::Columns, tx::one_row};

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// The project.
    pub project: ProjectId,
    /// None when the room was deleted since.
    pub room: Option<RoomId>,
    /// The room's name when it began.
    pub room_name: RoomName,
    /// When it began.
    pub created_at: Timestamp,
    /// Somebody asked for it: it stays until it is terminated. Others end after the last participant has left.
    pub explicit: bool,
    /// When it ended; none while it is active.
    pub ended_at: Option<Timestamp>,
}

fn read(row: &SqliteRow) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.parsed("id")?,
        project: row.parsed("project_id")?,
        room: row.maybe_parsed("room_id")?,
        room_name: row.parsed("room_name")?,
        created_at: row.time("created_at")?,
        explicit: row.flag("explicit")?,
        ended_at: row.maybe_time("ended_at")?,
    })
}

impl Tx {
    /// Begins a session of a room, `explicit` when somebody asked for it.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when one is active.
    pub async fn create_session(
        &mut self,
        project: ProjectId,
        room: &Room,
        explicit: bool,
    ) -> Result<Session, StoreError> {
        let session = Session {
            id: SessionId::from_uuid(new_id()),
            project,
            room: Some(room.id),
            room_name: room.name.clone(),
            created_at: self.now(),
            explicit,
            ended_at: None,
        };
        let failed = self.failed("room's session");
        sqlx::query(
            "INSERT INTO sessions (id, project_id, room_id, room_name, created_at, explicit) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(session.id.to_string())
        .bind(project.to_string())
        .bind(room.id.to_string())
        .bind(room.name.as_str())
        .bind(session.created_at.as_millis())
        .bind(explicit)
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(session)
    }

    /// One session of a project.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn session(&mut self, project: ProjectId, id: SessionId) -> Result<Option<Session>, StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("SELECT * FROM sessions WHERE project_id = $1 AND id = $2")
            .bind(project.to_string())
            .bind(id.to_string())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// The room's active session.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn active_session_of(&mut self, room: RoomId) -> Result<Option<Session>, StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("SELECT * FROM sessions WHERE room_id = $1 AND ended_at IS NULL")
            .bind(room.to_string())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// Active sessions, newest first: of one project, or of all.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn active_sessions(&mut self, project: Option<ProjectId>) -> Result<Vec<Session>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT * FROM sessions WHERE ended_at IS NULL AND ($1 IS NULL OR project_id = $1) ORDER BY created_at DESC, id DESC",
        )
        .bind(project.map(|id| id.to_string()))
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// The newest sessions of a project, active or ended.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn recent_sessions(&mut self, project: ProjectId, limit: u32) -> Result<Vec<Session>, StoreError> {
        let failed = self.failed("");
        let rows =
            sqlx::query("SELECT * FROM sessions WHERE project_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2")
                .bind(project.to_string())
                .bind(i64::from(limit))
                .fetch_all(self.db())
                .await
                .map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// Forgets the ended sessions of each project but the newest `keep`, with their workloads and events. How many those
    /// were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_ended_sessions(&mut self, keep: u32) -> Result<u64, StoreError> {
        let failed = self.failed("");
        let done = sqlx::query(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER \
             (PARTITION BY project_id ORDER BY ended_at DESC, id DESC) AS place FROM sessions WHERE ended_at IS NOT NULL) \
             AS ended WHERE place > $1)",
        )
        .bind(i64::from(keep))
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(done.rows_affected())
    }

    /// Keeps an active session until it is terminated.
    ///
    /// # Errors
    /// When it is not active.
    pub async fn keep_session(&mut self, id: SessionId) -> Result<(), StoreError> {
        let failed = self.failed("");
        let done = sqlx::query("UPDATE sessions SET explicit = TRUE WHERE id = $1 AND ended_at IS NULL")
            .bind(id.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, "active session")
    }

    /// Ends an active session.
    ///
    /// # Errors
    /// When it is not active.
    pub async fn end_session(&mut self, id: SessionId) -> Result<(), StoreError> {
        let failed = self.failed("");
        let done = sqlx::query("UPDATE sessions SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL")
            .bind(self.now().as_millis())
            .bind(id.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, "active session")
    }
}
