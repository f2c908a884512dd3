//! A participant that has joined: the place where what it may do begins.

use meshkeep_core::{
    Refusal,
    id::{RoomId, SessionId},
    name::RoomName,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Participant;
use crate::{
    Control, Identity,
    ops::room_url,
    refusals::{refused, unauthenticated},
};

/// A participant in its session. Every operation of the room is one of its methods.
pub struct Member {
    pub(super) control: Control,
    pub(super) participant: Participant,
    pub(super) session: SessionId,
    pub(super) room: RoomId,
    pub(super) id: Uuid,
    attributes: Map<String, Value>,
}

impl Member {
    pub(super) const fn new(
        control: Control,
        participant: Participant,
        session: SessionId,
        room: RoomId,
        id: Uuid,
        attributes: Map<String, Value>,
    ) -> Self {
        Self { control, participant, session, room, id, attributes }
    }

    /// Its id among the participants.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// What others see of it at first.
    #[must_use]
    pub const fn attributes(&self) -> &Map<String, Value> {
        &self.attributes
    }

    /// The room.
    #[must_use]
    pub const fn room_name(&self) -> &RoomName {
        &self.participant.room
    }

    /// Where the room's websocket is for it: services reach the server at their own address.
    #[must_use]
    pub fn room_url(&self) -> String {
        let parts = &self.control.context().parts;
        let server = if self.participant.own_service().is_some() { &parts.service_url } else { &parts.public_url };
        room_url(server, &self.participant.room)
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Whether what signed its token still stands: a key that was deleted ends its participants.
    ///
    /// # Errors
    /// `Unauthenticated`, when it does not.
    pub async fn is_still_good(&self) -> Result<(), Refusal> {
        let Identity::Participant { key, .. } = self.participant.caller.identity() else { return Ok(()) };
        let mut tx = self.control.store().read("look after a participant").await.map_err(refused)?;
        tx.api_key(*key).await.map_err(refused)?.map(drop).ok_or_else(unauthenticated)
    }
}
