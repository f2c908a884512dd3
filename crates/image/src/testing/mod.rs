//! For tests only: real and scripted registries on loopback, small images, and names that tests resolve themselves.

mod names;

pub use names::Names;
