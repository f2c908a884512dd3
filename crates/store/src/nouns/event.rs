//! What happened in a session, in order. Never a value.

use meshkeep_core::{Timestamp, id::SessionId};

use crate::{StoreError, Tx, row::Columns};

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// A stable word such as `workload.ready`.
    pub kind: String,
    /// A JSON object.
    pub data: serde_json::Value,
    /// When.
    pub at: Timestamp,
}

impl Tx {
    /// Adds an event.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_event(
        &mut self,
        session: SessionId,
        kind: &str,
        data: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let failed = self.failed("");
        sqlx::query("INSERT INTO events (session_id, kind, data, at) VALUES ($1, $2, $3, $4)")
            .bind(session.to_string())
            .bind(kind)
            .bind(data.to_string())
            .bind(self.now().as_millis())
            .execute(self.db())
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Forgets the events of each session but the newest `keep`. How many those were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_old_events(&mut self, keep: u32) -> Result<u64, StoreError> {
        let failed = self.failed("");
        let done = sqlx::query(
            "DELETE FROM events WHERE seq IN (SELECT seq FROM (SELECT seq, ROW_NUMBER() OVER \
             (PARTITION BY session_id ORDER BY seq DESC) AS place FROM events) AS old WHERE place > $1)",
        )
        .bind(i64::from(keep))
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(done.rows_affected())
    }

    /// A session's events, oldest first; the newest 10,000 when there are more.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn events(&mut self, session: SessionId) -> Result<Vec<Event>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("SELECT kind, data, at FROM events WHERE session_id = $1 ORDER BY seq DESC LIMIT 10000")
            .bind(session.to_string())
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        rows.iter()
            .rev()
            .map(|row| Ok(Event { kind: row.text("kind")?, data: row.json("data")?, at: row.time("at")? }))
            .collect()
    }
}
