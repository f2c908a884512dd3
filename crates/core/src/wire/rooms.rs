//! Rooms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::expose::expose;
use crate::{
    SecretText,
    id::{ProjectId, RoomId},
};

/// `POST P/rooms`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RoomCreate {
    /// The room's name.
    pub name: String,
    /// Answer the existing room instead of 409.
    #[serde(default)]
    pub if_not_exists: bool,
    /// Free JSON object.
    #[serde(default)]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
    /// Free text by name.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Accepted and without effect: there are no room grants here.
    #[serde(default)]
    pub permissions: Option<serde_json::Value>,
}

/// `PUT P/rooms/{id}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RoomUpdate {
    /// The new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Replaces when given.
    #[serde(default)]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
    /// Replaces when given.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Id.
    pub id: RoomId,
    /// Name.
    pub name: String,
    /// Never null.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Free text by name.
    pub annotations: BTreeMap<String, String>,
}

/// `GET P/rooms`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomList {
    /// One page.
    pub rooms: Vec<Room>,
}

/// Answer of `POST P/rooms/{name}/connect`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connected {
    /// A participant token.
    #[serde(serialize_with = "expose")]
    pub jwt: SecretText,
    /// The room.
    pub room_name: String,
    /// The project.
    pub project_id: ProjectId,
    /// Where its websocket is.
    pub room_url: String,
}
