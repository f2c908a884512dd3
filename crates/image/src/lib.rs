//! Fetches images from registries and turns their layers into EROFS images that the kernel mounts.
//!
//! Owns: references, registry credentials on the wire, manifests, blobs, the layer store and its one-pass writer.
//! Must never contain: mounts, SQL, anything that unpacks or executes an image's bytes on the host.

#![forbid(unsafe_code)]

mod image;

pub use image::{Digest, Image, ImageConfig, Layer, LayerProgress, Progress};
