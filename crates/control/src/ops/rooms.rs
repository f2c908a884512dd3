//! Rooms.

use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::{ProjectId, RoomId},
    name::RoomName,
    wire,
};
use meshkeep_engine::StorageId;
use meshkeep_store::{Room, Scope, Tx};

use crate::{
    Caller, Control,
    refusals::{chain, not_found, refused},
};

impl Control {
    /// Makes a room; with `if_not_exists` answers the one that is there, and `false`.
    ///
    /// # Errors
    /// A bad name, or one that is taken.
    pub async fn create_room(
        &self,
        caller: &Caller,
        project: ProjectId,
        wanted: wire::RoomCreate,
    ) -> Result<(wire::Room, bool), Refusal> {
        caller.may(project, Action::ManageRooms)?;
        let name = room_name(&wanted.name)?;
        let mut tx = self.store().write("create room").await.map_err(refused)?;
        if wanted.if_not_exists
            && let Some(room) = tx.room_by_name(project, &name).await.map_err(refused)?
        {
            return Ok((shown(room), false));
        }
        let (metadata, annotations) = (wanted.metadata.unwrap_or_default(), wanted.annotations.unwrap_or_default());
        let room = tx.create_room(project, &name, metadata, annotations).await.map_err(refused)?;
        tx.audit(&caller.audited("room.create", room.id.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        Ok((shown(room), true))
    }

    /// One page of rooms, by name.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn list_rooms(
        &self,
        caller: &Caller,
        project: ProjectId,
        limit: u32,
        offset: u32,
    ) -> Result<wire::RoomList, Refusal> {
        caller.may(project, Action::Look)?;
        let mut tx = self.store().read("list rooms").await.map_err(refused)?;
        let rooms = tx.rooms(project, limit, offset).await.map_err(refused)?.into_iter().map(shown).collect();
        Ok(wire::RoomList { rooms })
    }

    /// One room, by name.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn room(&self, caller: &Caller, project: ProjectId, name: RoomName) -> Result<wire::Room, Refusal> {
        caller.may(project, Action::Look)?;
        let mut tx = self.store().read("room").await.map_err(refused)?;
        named(&mut tx, project, &name).await.map(shown)
    }

    /// Changes what is given, leaves the rest.
    ///
    /// # Errors
    /// `NotFound`, a bad name, or one that is taken.
    pub async fn update_room(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: RoomId,
        change: wire::RoomUpdate,
    ) -> Result<wire::Room, Refusal> {
        caller.may(project, Action::ManageRooms)?;
        let name = change.name.as_deref().map(room_name).transpose();
        let mut tx = self.store().write("update room").await.map_err(refused)?;
        let mut room = tx.room(project, id).await.map_err(refused)?.ok_or_else(|| not_found("room"))?;
        if let Some(name) = name? {
            room.name = name;
        }
        room.metadata = change.metadata.unwrap_or(room.metadata);
        room.annotations = change.annotations.unwrap_or(room.annotations);
        tx.save_room(&room).await.map_err(refused)?;
        tx.audit(&caller.audited("room.update", id.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        Ok(shown(room))
    }

    /// Deletes a room with its services, its participants' secrets and its storage.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while its session runs.
    pub async fn delete_room(&self, caller: &Caller, project: ProjectId, id: RoomId) -> Result<(), Refusal> {
        caller.may(project, Action::ManageRooms)?;
        let mut tx = self.store().write("delete room").await.map_err(refused)?;
        let room = tx.room(project, id).await.map_err(refused)?.ok_or_else(|| not_found("room"))?;
        if let Some(session) = tx.active_session_of(id).await.map_err(refused)? {
            let message = format!("the room {} has a running session, {}", room.name, session.id);
            return Err(Refusal::new(RefusalKind::Conflict, "in_use", message).hint("terminate the session first"));
        }
        for service in tx.services(project, Scope::Room(id)).await.map_err(refused)? {
            tx.audit(&caller.audited("service.delete", service.id.to_string())).await.map_err(refused)?;
        }
        tx.delete_room(&room).await.map_err(refused)?;
        tx.audit(&caller.audited("room.delete", id.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        let removed = self.context().parts.engine.remove_storage(StorageId::Room(project, id)).await;
        if let Err(error) = removed {
            tracing::error!(room = %id, error = %chain(&error), "the storage of a deleted room could not be removed");
        }
        Ok(())
    }
}

/// The room of this name.
pub(super) async fn named(tx: &mut Tx, project: ProjectId, name: &RoomName) -> Result<Room, Refusal> {
    tx.room_by_name(project, name).await.map_err(refused)?.ok_or_else(|| not_found("room"))
}

fn room_name(text: &str) -> Result<RoomName, Refusal> {
    text.parse().map_err(|why| Refusal::invalid("name", why))
}

fn shown(room: Room) -> wire::Room {
    let Room { id, name, metadata, annotations } = room;
    wire::Room { id, name: name.into(), metadata, annotations }
}
