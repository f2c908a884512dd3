//! Secrets of participants within a room: bytes under an id, for one identity, or left by it to another one.
//!
//! A different thing from a project's secrets: no versions, not bound by id in `container.secrets`.

use meshkeep_core::id::{ProjectId, RoomId};
use meshkeep_seal::{Context, Sealed};
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use crate::{StoreError, Tx, row::Columns};

/// Which one: whose, under which id, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSecretRef {
    /// Whose.
    pub identity: String,
    /// Its id, chosen by who set it.
    pub id: String,
    /// For whom it was left; empty when for nobody else.
    pub delegated_to: String,
}

/// A secret without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSecret {
    /// Which one.
    pub key: RoomSecretRef,
    /// What it is, a media type as a rule.
    pub kind: String,
    /// What people call it.
    pub name: String,
}

fn place(project: ProjectId, room: RoomId, key: &RoomSecretRef) -> Context {
    let place = Context::new("room-secret").part(project.to_string()).part(room.to_string());
    place.part(key.identity.as_bytes()).part(key.id.as_bytes()).part(key.delegated_to.as_bytes())
}

fn read(row: &SqliteRow) -> Result<RoomSecret, StoreError> {
    let key =
        RoomSecretRef { identity: row.text("identity")?, id: row.text("id")?, delegated_to: row.text("delegated_to")? };
    Ok(RoomSecret { key, kind: row.text("kind")?, name: row.text("name")? })
}

impl Tx {
    /// Sets it, in place of what was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn set_room_secret(
        &mut self,
        project: ProjectId,
        room: RoomId,
        secret: &RoomSecret,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let sealed = self.project_key(project).await?.seal(&place(project, room, &secret.key), bytes);
        let failed = self.failed("");
        sqlx::query(
            "INSERT INTO room_secrets (room_id, identity, id, delegated_to, kind, name, sealed, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (room_id, identity, id, delegated_to) \
             DO UPDATE SET kind = $5, name = $6, sealed = $7, updated_at = $8",
        )
        .bind(room.to_string())
        .bind(&secret.key.identity)
        .bind(&secret.key.id)
        .bind(&secret.key.delegated_to)
        .bind(&secret.kind)
        .bind(&secret.name)
        .bind(sealed.as_bytes())
        .bind(self.now().as_millis())
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// Opens its bytes. `None` when it is not there.
    ///
    /// # Errors
    /// Damage, or another root key.
    pub async fn open_room_secret(
        &mut self,
        project: ProjectId,
        room: RoomId,
        key: &RoomSecretRef,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let failed = self.failed("");
        let sealed: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT sealed FROM room_secrets WHERE room_id = $1 AND identity = $2 AND id = $3 AND delegated_to = $4",
        )
        .bind(room.to_string())
        .bind(&key.identity)
        .bind(&key.id)
        .bind(&key.delegated_to)
        .fetch_optional(self.db())
        .await
        .map_err(failed)?;
        let Some(sealed) = sealed else { return Ok(None) };
        let opened = self.project_key(project).await?.open(&place(project, room, key), &Sealed::from_bytes(sealed));
        opened.map(Some).map_err(|error| StoreError::unopened("a secret of a room", error))
    }

    /// Those of an identity, its own and those that others left to it, by id.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn room_secrets(&mut self, room: RoomId, identity: &str) -> Result<Vec<RoomSecret>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT identity, id, delegated_to, kind, name FROM room_secrets WHERE room_id = $1 \
             AND (identity = $2 OR delegated_to = $2) ORDER BY id, identity, delegated_to",
        )
        .bind(room.to_string())
        .bind(identity)
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// Deletes it; false when it was not there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_room_secret(&mut self, room: RoomId, key: &RoomSecretRef) -> Result<bool, StoreError> {
        let failed = self.failed("");
        let done = sqlx::query(
            "DELETE FROM room_secrets WHERE room_id = $1 AND identity = $2 AND id = $3 AND delegated_to = $4",
        )
        .bind(room.to_string())
        .bind(&key.identity)
        .bind(&key.id)
        .bind(&key.delegated_to)
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(done.rows_affected() == 1)
    }

    /// All of a project, for looking at each of them.
    pub(crate) async fn room_secret_refs(
        &mut self,
        project: ProjectId,
    ) -> Result<Vec<(RoomId, RoomSecretRef)>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query(
            "SELECT r.id AS room, s.identity, s.id, s.delegated_to, s.kind, s.name FROM room_secrets s \
             JOIN rooms r ON r.id = s.room_id WHERE r.project_id = $1 ORDER BY r.id, s.identity, s.id",
        )
        .bind(project.to_string())
        .fetch_all(self.db())
        .await
        .map_err(failed)?;
        rows.iter().map(|row| Ok((row.parsed("room")?, read(row)?.key))).collect()
    }
}
