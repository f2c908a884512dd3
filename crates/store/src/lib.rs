//! The only SQL: what is recorded, sealed where it is secret, in named transactions.
//!
//! Owns: the schema, the database file and what is checked before it is opened, the audit's chain.
//! Must never contain: decisions about who may do what, HTTP, an unsealed secret at rest.
//!
//! One file per noun under `nouns/`, each an `impl Tx`. A missing row is `Option`, never an error; a write that should
//! have touched one row and did not is [`StoreError::Damaged`]. Nothing can be used after [`Tx::commit`].

#![forbid(unsafe_code)]

mod anchor;
mod error;
mod examine;
mod nouns;
mod open;
mod rotate;
mod row;
mod scratch;
mod snapshot;
mod tx;
mod upgrade;

pub use error::StoreError;
pub use examine::{Damage, Examined};
pub use nouns::{
    api_key::{ApiKey, NewApiKey},
    audit::{AuditCheck, AuditEntry, AuditRow},
    event::Event,
    project::Project,
    rolling_restart::{RestartStep, RollingRestart},
    room::Room,
    room_secret::{RoomSecret, RoomSecretRef},
    secret::{DeletedSecret, Secret, SecretSummary, SecretVersion},
    secret_use::SecretUse,
    service::{Scope, Service, ServiceRef},
    session::Session,
    studio::StudioSession,
    workload::{Asked, Workload, WorkloadUpdate},
};
pub use open::{StoreOptions, StudioLink, studio_link};
pub use scratch::Scratch;
pub use tx::{Store, Tx};
