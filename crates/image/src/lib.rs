//! Fetches images from registries and turns their layers into EROFS images that the kernel mounts.
//!
//! Owns: references, registry credentials on the wire, manifests, blobs, the layer store and its one-pass writer.
//! Must never contain: mounts, SQL, anything that unpacks or executes an image's bytes on the host.

#![forbid(unsafe_code)]

mod address;
mod challenge;
mod config;
mod credential;
mod error;
mod examine;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzz;
mod host;
mod image;
mod images;
pub mod layer;
mod manifest;
mod pull;
mod records;
mod reference;
mod registry;
mod remote_text;
mod scope;
mod settings;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use error::ImageError;
pub use examine::{LayersExamined, examine_layers};
pub use host::{BadHost, RegistryHost};
pub use image::{Digest, Image, ImageConfig, Layer, LayerProgress, Progress};
pub use images::{Images, ImagesConfig};
pub use layer::{LayerError, Limits as LayerLimits};
pub use manifest::ManifestFault;
pub use records::Collected;
pub use reference::{BadReference, Reference};
pub use remote_text::RemoteText;
pub use scope::{Chosen, PullScope, choose, none_chosen};
pub use settings::{HostSettings, RegistrySettings};
