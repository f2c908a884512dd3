//! What meshkeep does, without HTTP: one operation per thing that can be asked for, and the drivers that keep running
//! services as their sessions want them.
//!
//! Owns: who may do what (each operation checks its caller itself), the audit row of every change, sessions and the
//! life of their workloads, the way of a value from the store into a starting service.
//! Must never contain: HTTP types, templates, SQL, sealing keys, namespaces or mounts.

#![forbid(unsafe_code)]

mod caller;
mod control;
#[cfg(test)]
mod fuzz;
mod jobs;
mod manifest_values;
mod ops;
mod probe;
mod reconcile;
mod refusals;
mod room;
mod secret_input;
mod token;

pub use caller::{Caller, Identity, Origin};
pub use control::{Control, Parts, Running};
pub use jobs::RollingPace;
pub use meshkeep_engine::{ExecInput, ExecOutput};
pub use ops::{
    ports::Published,
    services::{ImageCheck, Scope, ServiceOverview},
    studio::Visitor,
    templates::from_template,
    usage::Usage,
};
pub use room::{
    Container, Exec, ImageCredential, Inbox, Member, Participant, RoomEvent, RoomImage, RoomSecretAsked,
    RoomSecretShown, RunContainer, Seat, ServiceState, Stage,
};
