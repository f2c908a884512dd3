//! Rooms as participants see them: who is there, what they say to each other, and what each may do with the session.
//!
//! Who is there is in memory only: a server that comes back has nobody in its rooms until they connect anew. What must
//! stay true: a session that nobody asked for by itself ends when the last participant has left for a while, those that
//! the platform started not counted; a participant may never more than what signed its token; a slow one slows nobody.

mod admit;
mod containers;
mod exec;
mod images;
mod join;
mod linger;
mod member;
mod messaging;
mod presence;
mod run;
mod secrets;
mod services;

pub use admit::Participant;
pub use containers::{Container, Stage};
pub use exec::Exec;
pub(crate) use images::Pulled;
pub use images::{ImageCredential, RoomImage};
pub use join::{Inbox, Seat};
pub use member::Member;
pub(crate) use presence::Presence;
pub use presence::RoomEvent;
pub use run::RunContainer;
pub use secrets::{RoomSecretAsked, RoomSecretShown};
pub use services::ServiceState;
