//! Joining a room: its session is launched when none runs.

use std::sync::Arc;

use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::{ProjectId, SessionId},
    name::RoomName,
};
use meshkeep_store::{Room, Tx};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Member, Participant, RoomEvent, presence::Taken};
use crate::{Control, ops::Launched, refusals::refused};

/// What arrives for a participant.
#[derive(Debug)]
pub struct Inbox {
    /// What it is told, in order.
    pub events: mpsc::Receiver<RoomEvent>,
    /// Cancelled when its connection must end: the session is over, or it does not read.
    pub closed: CancellationToken,
    /// Its place.
    pub seat: Seat,
}

/// A participant's place in a session. Dropped, it has left.
pub struct Seat {
    control: Control,
    session: SessionId,
    id: Uuid,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({} in {})", self.id, self.session)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(joined) = self.control.context().presence.leave(self.session, self.id) {
            self.control.linger(self.session, joined);
        }
        self.control.context().live.note();
    }
}

impl Control {
    /// Takes a seat in the room, whose session is launched when none runs. Dropping the seat leaves.
    ///
    /// # Errors
    /// `NotFound` for a room that the token may not make; `Forbidden` when no session runs and it may launch none.
    pub async fn join_room(&self, participant: Participant) -> Result<(Arc<Member>, Inbox), Refusal> {
        let control = self.clone();
        self.to_its_end(async move { control.join(participant).await }).await
    }

    async fn join(&self, participant: Participant) -> Result<(Arc<Member>, Inbox), Refusal> {
        let project = participant.project();
        // Held until the seat is taken: nobody ends the session in between.
        let mut drivers = self.drivers().lock().await;
        let mut tx = self.store().write("join room").await.map_err(refused)?;
        let room = self.room_of(&mut tx, project, &participant).await?;
        let session = match tx.active_session_of(room.id).await.map_err(refused)? {
            Some(session) => session,
            None => {
                may_launch(&participant)?;
                let launched = Launched::record(&mut tx, project, &room, false, &participant.caller).await?;
                launched.drive(&mut drivers, tx).await?
            }
        };
        let Participant { name, role, is_platforms, .. } = &participant;
        let taken = self.context().presence.join(session.id, name.as_str(), role, !is_platforms)?;
        drop(drivers);
        self.context().live.note();
        let Taken { id, attributes, events, closed } = taken;
        let member = Member::new(self.clone(), participant, session.id, room.id, id, attributes);
        let seat = Seat { control: self.clone(), session: session.id, id };
        Ok((Arc::new(member), Inbox { events, closed, seat }))
    }

    /// The room, which is made when it is not there.
    async fn room_of(&self, tx: &mut Tx, project: ProjectId, participant: &Participant) -> Result<Room, Refusal> {
        let name: &RoomName = &participant.room;
        if let Some(room) = tx.room_by_name(project, name).await.map_err(refused)? {
            return Ok(room);
        }
        participant.caller.may(project, Action::ManageRooms)?;
        let room = tx.create_room(project, name, Map::<String, Value>::new(), Default::default()).await;
        let room = room.map_err(refused)?;
        tx.audit(&participant.caller.audited("room.create", room.id.to_string())).await.map_err(refused)?;
        Ok(room)
    }
}

fn may_launch(participant: &Participant) -> Result<(), Refusal> {
    if participant.is_platforms {
        let message = "the session that this token was made for is over";
        return Err(Refusal::new(RefusalKind::Forbidden, "session_over", message));
    }
    participant.caller.may(participant.project(), Action::RunSessions).map_err(|refusal| {
        let message = "no session runs in this room, and the token may not launch one";
        Refusal { message: message.to_owned(), ..refusal }
    })
}
