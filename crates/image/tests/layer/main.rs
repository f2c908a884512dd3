//! Layers as EROFS images: what the kernel shows of them is what GNU tar unpacks, and what must be refused is refused.
//!
//! Needs root: the images are mounted. Mounts are detached ones, which end with the test's process however it ends.

mod attacks;
mod cases;
mod facts;
mod fetched;
mod memory;
mod mount;
mod overlays;
mod peers;
mod real;
mod tarball;
mod trees;
