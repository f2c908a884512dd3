//! The shapes of the API, shared by the server and the command line. MeshAgent's members first, meshkeep's after.
//!
//! Requests refuse unknown members unless public clients are known to send more. Plaintext in a request is
//! [`SecretText`]; no answer has a member that could hold a value, except [`SecretRevealed`], [`ApiKeyCreated`] and the
//! token of [`Connected`], each for who asked for just that.

mod audit;
mod error;
mod expose;
pub mod packet;
pub mod payload;
mod project;
mod restart;
mod rooms;
mod secret;
mod service;
mod session;

pub use audit::{AuditList, AuditRow, AuditVerified};
pub use error::{ErrorBody, ErrorDetail, kind_of, status_of};
pub use project::{ApiKey, ApiKeyCreate, ApiKeyCreated, ApiKeyList, Initialised, Project, ProjectList, RoleAnswer};
pub use restart::{RestartOutcome, RestartState, RestartStep, RollingRestart};
pub use rooms::{Connected, Room, RoomCreate, RoomList, RoomUpdate};
pub use secret::{
    DeletedSecret, DeletedSecretList, PullTest, PullTested, SecretDetail, SecretItem, SecretList, SecretPatch,
    SecretRestore, SecretRevealed, SecretSaved, SecretUsage, SecretVersion, SecretVersions, SecretWrite,
    VersionChanges,
};
pub use service::{EnvironmentPreview, PreviewedVariable, ServiceList, VariableSource};
pub use session::{Event, EventList, LayerProgress, Reason, SecretUse, Session, SessionList, Workload};
