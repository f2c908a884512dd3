//! Types and rules of meshkeep, without I/O and without async.
//!
//! Owns: the words (ids, names, kinds, states), the pure rules (which environment a service gets, who may do what,
//! what a session must do next) and the wire shapes that server and command line share.
//! Must never contain: tokio, sqlx, axum, the clock of the machine, files, sockets or randomness.

#![forbid(unsafe_code)]

pub mod access;
pub mod api_key;
pub mod clock;
pub mod command_line;
pub mod dotenv;
pub mod environment;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod id;
pub mod manifest;
pub mod name;
pub mod page;
pub mod participant;
pub mod plan;
pub mod refusal;
pub mod secret;
pub mod service;
pub mod storage;
pub mod template;
pub mod wire;
pub mod workload;

pub use clock::{Clock, Timestamp};
pub use refusal::{Refusal, RefusalKind};
pub use secret::SecretText;
