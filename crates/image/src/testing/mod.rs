//! For tests only: real and scripted registries on loopback, small images, and names that tests resolve themselves.

mod names;
#[cfg(feature = "testing")]
mod parts;
#[cfg(feature = "testing")]
mod registry;
#[cfg(feature = "testing")]
mod server;

pub use names::Names;
#[cfg(feature = "testing")]
pub use {
    parts::{ImageParts, Silent, gzip, tar},
    registry::{RegistryOptions, TestRegistry},
    server::{Answer, Seen, Server, answer, body},
};
