//! Who is in which session, and what is on its way to each of them.
//!
//! Owns: the seats. What must stay true: what one participant sends arrives at each other one in the order it was sent;
//! an inbox has a bound, and who does not empty it loses the seat, not the others their time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use meshkeep_core::{Refusal, RefusalKind, id::SessionId, wire::payload::Payload};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zeroize::Zeroizing;

/// KiB of events that may wait for one participant.
const WAITING_KIB: u32 = 16 << 10;
/// Bytes of one entry of the developers' log at most.
const MAX_LOG: usize = 64 << 10;
/// Entries of it that may wait for one reader.
const LOG_WAITING: usize = 256;
/// Events that may wait for one participant.
const WAITING: usize = 1024;
/// Participants of one session at most.
const MAX_SEATS: usize = 1000;
/// Bytes of one participant's attributes at most.
const MAX_ATTRIBUTES: usize = 64 << 10;

/// Something that is told to participants, as it travels.
#[derive(Clone, Debug)]
pub struct RoomEvent {
    /// The message's type.
    pub kind: &'static str,
    /// What it carries, packed once; shared by all that are told.
    pub data: Arc<Zeroizing<Vec<u8>>>,
    /// Its room in an inbox, until it is dropped.
    _held: Option<Arc<OwnedSemaphorePermit>>,
}

impl RoomEvent {
    fn new(kind: &'static str, payload: &Payload) -> Self {
        Self { kind, data: Arc::new(payload.pack()), _held: None }
    }
}

/// All seats of all running sessions.
#[derive(Debug, Default)]
pub(crate) struct Presence(Mutex<HashMap<SessionId, Seats>>);

#[derive(Debug, Default)]
struct Seats {
    /// By id, which is by time.
    seats: BTreeMap<Uuid, Seat>,
    /// How many ever joined: who waits for a session to be empty sees whether somebody came and went meanwhile.
    joined: u64,
}

#[derive(Debug)]
struct Seat {
    name: String,
    role: String,
    attributes: Map<String, Value>,
    /// Keeps its session open.
    counts: bool,
    /// Sees the others and is seen.
    is_visible: bool,
    /// Reads the developers' log among its events.
    watches: bool,
    /// Streams of the developers' log.
    readers: Vec<mpsc::Sender<(String, Value)>>,
    /// Room for what waits, in KiB.
    inbox: Arc<Semaphore>,
    events: mpsc::Sender<RoomEvent>,
    closed: CancellationToken,
}

/// What a participant is told through.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: Uuid,
    pub(super) attributes: Map<String, Value>,
    pub(super) events: mpsc::Receiver<RoomEvent>,
    pub(super) closed: CancellationToken,
}

impl Presence {
    /// Takes a seat.
    pub(super) fn join(&self, session: SessionId, name: &str, role: &str, counts: bool) -> Result<Taken, Refusal> {
        let mut all = self.lock();
        let seats = all.entry(session).or_default();
        if seats.seats.len() >= MAX_SEATS {
            let message = format!("the room has {MAX_SEATS} participants");
            return Err(Refusal::new(RefusalKind::Unavailable, "over_a_limit", message).hint("try again later"));
        }
        let (events, receiver) = mpsc::channel(WAITING);
        let closed = CancellationToken::new();
        let attributes = Map::from_iter([("name".to_owned(), json!(name))]);
        let seat = Seat {
            name: name.to_owned(),
            role: role.to_owned(),
            attributes: attributes.clone(),
            counts,
            is_visible: false,
            watches: false,
            readers: Vec::new(),
            inbox: Arc::new(Semaphore::new(WAITING_KIB as usize)),
            events,
            closed: closed.clone(),
        };
        let id = Uuid::now_v7();
        seats.seats.insert(id, seat);
        seats.joined += 1;
        Ok(Taken { id, attributes, events: receiver, closed })
    }

    /// Leaves; when nobody that counts is left then, how many have ever joined.
    pub(super) fn leave(&self, session: SessionId, id: Uuid) -> Option<u64> {
        let mut all = self.lock();
        let seats = all.get_mut(&session)?;
        let seat = seats.seats.remove(&id)?;
        if seat.is_visible {
            seats.tell(id, "participant.disabled", json!({"id": id}));
        }
        (seat.counts && !seats.seats.values().any(|seat| seat.counts)).then_some(seats.joined)
    }

    /// How many have ever joined, when nobody that counts is there.
    pub(super) fn empty_since(&self, session: SessionId) -> Option<u64> {
        match self.lock().get(&session) {
            Some(seats) => (!seats.seats.values().any(|seat| seat.counts)).then_some(seats.joined),
            None => Some(0),
        }
    }

    /// Ends the connections of a session that is over.
    pub(crate) fn close(&self, session: SessionId) {
        if let Some(seats) = self.lock().remove(&session) {
            seats.seats.into_values().for_each(|seat| seat.closed.cancel());
        }
    }

    /// Participants by role.
    pub(crate) fn by_role(&self, session: SessionId) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for seat in self.lock().get(&session).into_iter().flat_map(|seats| seats.seats.values()) {
            *counts.entry(seat.role.clone()).or_default() += 1;
        }
        counts
    }

    /// Becomes visible, and is told of those that are.
    pub(super) fn show(&self, session: SessionId, id: Uuid) {
        self.with(session, |seats| {
            let others: Vec<_> = seats
                .seats
                .iter()
                .filter(|(other, seat)| **other != id && seat.is_visible)
                .map(|(id, seat)| seat.shown(*id))
                .collect();
            let Some(seat) = seats.seats.get_mut(&id) else { return };
            let was_visible = std::mem::replace(&mut seat.is_visible, true);
            let shown = seat.shown(id);
            seat.send(&said(id, "messaging.enabled", json!({"participants": others}), &[]));
            if !was_visible {
                seats.tell(id, "participant.enabled", shown);
            }
        });
    }

    /// Is not seen any more.
    pub(super) fn hide(&self, session: SessionId, id: Uuid) {
        self.with(session, |seats| {
            if seats.seats.get_mut(&id).is_some_and(|seat| std::mem::replace(&mut seat.is_visible, false)) {
                seats.tell(id, "participant.disabled", json!({"id": id}));
            }
        });
    }

    /// Changes attributes, and tells those that see it.
    pub(super) fn set_attributes(
        &self,
        session: SessionId,
        id: Uuid,
        changed: Map<String, Value>,
    ) -> Result<(), Refusal> {
        let too_large = || Refusal::invalid("attributes", format!("are more than {MAX_ATTRIBUTES} bytes"));
        self.with(session, |seats| {
            let Some(seat) = seats.seats.get_mut(&id) else { return Ok(()) };
            let mut attributes = seat.attributes.clone();
            attributes.extend(changed.clone());
            if serde_json::to_vec(&attributes).map_or(0, |bytes| bytes.len()) > MAX_ATTRIBUTES {
                return Err(too_large());
            }
            seat.attributes = attributes;
            if seat.is_visible {
                seats.tell(id, "participant.attributes", json!({"attributes": changed}));
            }
            Ok(())
        })
    }

    /// Sends to one; false when there is no such visible participant.
    pub(super) fn send(
        &self,
        session: SessionId,
        from: Uuid,
        to: Uuid,
        kind: &str,
        message: Value,
        data: &[u8],
    ) -> bool {
        self.with(session, |seats| {
            let Some(seat) = seats.seats.get(&to).filter(|seat| seat.is_visible) else { return false };
            seat.send(&said(from, kind, message, data));
            true
        })
    }

    /// Sends to all others.
    pub(super) fn broadcast(&self, session: SessionId, from: Uuid, kind: &str, message: Value, data: &[u8]) {
        self.with(session, |seats| {
            let event = said(from, kind, message, data);
            seats.others(from).for_each(|seat| seat.send(&event));
        });
    }

    /// Begins or ends reading the developers' log.
    pub(super) fn watch(&self, session: SessionId, id: Uuid, watches: bool) {
        self.with(session, |seats| {
            if let Some(seat) = seats.seats.get_mut(&id) {
                seat.watches = watches;
            }
        });
    }

    /// Tells those that read the developers' log.
    pub(super) fn log(&self, session: SessionId, kind: &str, data: &Value) -> Result<(), Refusal> {
        if kind.len() + data.to_string().len() > MAX_LOG {
            return Err(Refusal::invalid("data", format!("is larger than {MAX_LOG} bytes")));
        }
        self.with(session, |seats| {
            let event = RoomEvent::new("developer.log", &Payload::of(json!({"type": kind, "data": data})));
            for seat in seats.seats.values_mut() {
                if seat.watches {
                    seat.send(&event);
                }
                // A stream that is not read ends.
                seat.readers.retain(|reader| reader.try_send((kind.to_owned(), data.clone())).is_ok());
            }
        });
        Ok(())
    }

    /// A stream of the developers' log, until it is dropped or not read.
    pub(super) fn read_log(&self, session: SessionId, id: Uuid) -> mpsc::Receiver<(String, Value)> {
        let (reader, lines) = mpsc::channel(LOG_WAITING);
        self.with(session, |seats| {
            if let Some(seat) = seats.seats.get_mut(&id) {
                seat.readers.retain(|reader| !reader.is_closed());
                seat.readers.push(reader);
            }
        });
        lines
    }

    fn with<T>(&self, session: SessionId, change: impl FnOnce(&mut Seats) -> T) -> T {
        let mut all = self.lock();
        match all.get_mut(&session) {
            Some(seats) => change(seats),
            // It is over; nobody is there to be told.
            None => change(&mut Seats::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Seats>> {
        // Each change is whole before anything in it could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn others(&self, from: Uuid) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(move |(id, seat)| **id != from && seat.is_visible).map(|(_, seat)| seat)
    }

    /// Tells all others of a participant.
    fn tell(&self, of: Uuid, kind: &str, message: Value) {
        let event = said(of, kind, message, &[]);
        self.others(of).for_each(|seat| seat.send(&event));
    }
}

impl Seat {
    fn shown(&self, id: Uuid) -> Value {
        json!({"id": id, "role": self.role, "attributes": self.attributes})
    }

    fn send(&self, event: &RoomEvent) {
        let kib = u32::try_from(event.data.len() >> 10).unwrap_or(u32::MAX).saturating_add(1);
        let held = Arc::clone(&self.inbox).try_acquire_many_owned(kib).ok().map(Arc::new);
        let is_in = held.is_some() && self.events.try_send(RoomEvent { _held: held, ..event.clone() }).is_ok();
        if !is_in {
            tracing::info!(participant = self.name, "a participant did not read what it was sent; it is disconnected");
            self.closed.cancel();
        }
    }
}

fn said(from: Uuid, kind: &str, message: Value, data: &[u8]) -> RoomEvent {
    let header = json!({"from_participant_id": from, "type": kind, "message": message});
    RoomEvent::new("messaging.send", &Payload::of(header).with(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionId {
        SessionId::from_uuid(Uuid::now_v7())
    }

    fn kinds(taken: &mut Taken) -> Vec<String> {
        std::iter::from_fn(|| taken.events.try_recv().ok())
            .map(|event| Payload::unpack(&event.data).unwrap().header["type"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn those_that_are_visible_see_each_other_come_change_and_go() {
        let (presence, room) = (Presence::default(), session());
        let [mut a, mut b, mut c] = ["a", "b", "c"].map(|name| presence.join(room, name, "user", true).unwrap());
        presence.show(room, a.id);
        presence.show(room, b.id);
        presence.set_attributes(room, b.id, Map::from_iter([("x".to_owned(), json!(1))])).unwrap();
        presence.set_attributes(room, c.id, Map::from_iter([("x".to_owned(), json!(1))])).unwrap();
        presence.broadcast(room, a.id, "hello", json!({}), b"");
        assert!(presence.send(room, b.id, a.id, "direct", json!({}), b"bytes"));
        assert!(!presence.send(room, b.id, c.id, "direct", json!({}), b""), "one that is not visible");
        presence.hide(room, b.id);
        assert_eq!(
            kinds(&mut a),
            ["messaging.enabled", "participant.enabled", "participant.attributes", "direct", "participant.disabled"]
        );
        assert_eq!(kinds(&mut b), ["messaging.enabled", "hello"]);
        assert!(kinds(&mut c).is_empty());
    }

    #[test]
    fn a_session_is_empty_when_none_that_counts_is_there() {
        let (presence, room) = (Presence::default(), session());
        assert_eq!(presence.empty_since(room), Some(0));
        let agent = presence.join(room, "agent", "agent", false).unwrap();
        assert_eq!(presence.empty_since(room), Some(1));
        let user = presence.join(room, "user", "user", true).unwrap();
        assert_eq!(presence.empty_since(room), None);
        assert_eq!(presence.leave(room, agent.id), None, "it did not count");
        assert_eq!(presence.leave(room, user.id), Some(2));
        assert_eq!(presence.leave(room, user.id), None, "gone already");
    }

    #[test]
    fn who_does_not_read_loses_the_seat_and_the_others_nothing() {
        let (presence, room) = (Presence::default(), session());
        let [writer, slow, mut quick] = ["w", "s", "q"].map(|name| presence.join(room, name, "user", true).unwrap());
        [&writer, &slow, &quick].into_iter().for_each(|taken| presence.show(room, taken.id));
        let mut seen = kinds(&mut quick).len();
        for n in 0..WAITING + 1 {
            presence.broadcast(room, writer.id, "n", json!(n), b"");
            seen += kinds(&mut quick).len();
        }
        assert!(slow.closed.is_cancelled() && !quick.closed.is_cancelled());
        assert!(seen > WAITING);
    }

    #[test]
    fn what_waits_for_one_has_a_bound_in_bytes() {
        let (presence, room) = (Presence::default(), session());
        let [writer, slow] = ["w", "s"].map(|name| presence.join(room, name, "user", true).unwrap());
        [&writer, &slow].into_iter().for_each(|taken| presence.show(room, taken.id));
        let large = vec![b'x'; 4 << 20];
        for _ in 0..3 {
            presence.broadcast(room, writer.id, "n", json!(0), &large);
        }
        assert!(!slow.closed.is_cancelled());
        presence.broadcast(room, writer.id, "n", json!(0), &large);
        assert!(slow.closed.is_cancelled(), "16 MiB and what is around them");
        let large = json!("x".repeat(MAX_LOG));
        assert_eq!(presence.log(room, "info", &large).unwrap_err().field, "data");
    }

    #[test]
    fn attributes_have_a_bound() {
        let (presence, room) = (Presence::default(), session());
        let taken = presence.join(room, "a", "user", true).unwrap();
        let large = Map::from_iter([("x".to_owned(), json!("y".repeat(MAX_ATTRIBUTES)))]);
        assert_eq!(presence.set_attributes(room, taken.id, large).unwrap_err().field, "attributes");
    }
}
