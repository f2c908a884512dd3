//! Runs workloads: one small trait, and the engines behind it.
//!
//! Owns: everything that touches namespaces, mounts, cgroups and networks of workloads.
//! Must never contain: SQL, HTTP routes, sealing keys. Plaintext passes through [`Deliver`] only, on its way into a
//! starting workload.

#![deny(unsafe_code)]

pub mod embedded;
mod engine;
pub mod redact;
#[cfg(feature = "testing")]
pub mod testing;

pub use embedded::{
    EmbeddedConfig, EmbeddedEngine, HostCheck, OpenError, examine_host,
    net::{Entrance, Entrances, Ipv4Pool, NetError, SERVER_NAME},
    runtime_child,
};
pub use engine::{
    Deliver, Engine, EngineError, ExecInput, ExecOutput, ExecRequest, ExecSession, ExtraCapability, Limits, LogChunk,
    LogStream, Mount, MountSource, Observed, ObservedState, Peer, StorageId, Workload,
};
