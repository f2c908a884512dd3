//! Rooms.

use std::collections::BTreeMap;

use meshkeep_core::{
    id::{ProjectId, RoomId},
    name::RoomName,
};
use serde_json::{Map, Value};
use sqlx::sqlite::SqliteRow;

use crate::{StoreError, Tx, nouns::new_id, row::Columns, tx::one_row};

/// A room.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// Id.
    pub id: RoomId,
    /// Name, unique in the project.
    pub name: RoomName,
    /// Free JSON object.
    pub metadata: Map<String, Value>,
    /// Free text by name.
    pub annotations: BTreeMap<String, String>,
}

fn read(row: &SqliteRow) -> Result<Room, StoreError> {
    Ok(Room {
        id: row.parsed("id")?,
        name: row.parsed("name")?,
        metadata: row.json("metadata")?,
        annotations: row.json("annotations")?,
    })
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("maps of text and JSON are JSON")
}

impl Tx {
    /// Makes a room.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when the project has one of this name.
    pub async fn create_room(
        &mut self,
        project: ProjectId,
        name: &RoomName,
        metadata: Map<String, Value>,
        annotations: BTreeMap<String, String>,
    ) -> Result<Room, StoreError> {
        let room = Room { id: RoomId::from_uuid(new_id()), name: name.clone(), metadata, annotations };
        let failed = self.failed("room name");
        sqlx::query(
            "INSERT INTO rooms (id, project_id, name, metadata, annotations, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(room.id.to_string())
        .bind(project.to_string())
        .bind(name.as_str())
        .bind(json(&room.metadata))
        .bind(json(&room.annotations))
        .bind(self.now().as_millis())
        .execute(self.db())
        .await
        .map_err(failed)?;
        Ok(room)
    }

    /// One room by name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn room_by_name(&mut self, project: ProjectId, name: &RoomName) -> Result<Option<Room>, StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("SELECT * FROM rooms WHERE project_id = $1 AND name = $2")
            .bind(project.to_string())
            .bind(name.as_str())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// One room by id.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn room(&mut self, project: ProjectId, id: RoomId) -> Result<Option<Room>, StoreError> {
        let failed = self.failed("");
        let row = sqlx::query("SELECT * FROM rooms WHERE project_id = $1 AND id = $2")
            .bind(project.to_string())
            .bind(id.to_string())
            .fetch_optional(self.db())
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// A page of rooms, by name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn rooms(&mut self, project: ProjectId, limit: u32, offset: u32) -> Result<Vec<Room>, StoreError> {
        let failed = self.failed("");
        let rows = sqlx::query("SELECT * FROM rooms WHERE project_id = $1 ORDER BY name LIMIT $2 OFFSET $3")
            .bind(project.to_string())
            .bind(i64::from(limit))
            .bind(i64::from(offset))
            .fetch_all(self.db())
            .await
            .map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// Saves a room's name, metadata and annotations.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another room has the name.
    pub async fn save_room(&mut self, room: &Room) -> Result<(), StoreError> {
        let failed = self.failed("room name");
        let done = sqlx::query("UPDATE rooms SET name = $1, metadata = $2, annotations = $3 WHERE id = $4")
            .bind(room.name.as_str())
            .bind(json(&room.metadata))
            .bind(json(&room.annotations))
            .bind(room.id.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, "room")
    }

    /// Deletes a room with its services.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delete_room(&mut self, room: &Room) -> Result<(), StoreError> {
        self.delete_services_of(room.id).await?;
        let failed = self.failed("");
        let done = sqlx::query("DELETE FROM rooms WHERE id = $1")
            .bind(room.id.to_string())
            .execute(self.db())
            .await
            .map_err(failed)?;
        one_row(&done, "room")
    }
}
