//! Secrets: saving, reading without values, revealing, trying against a registry, deleting.

mod clashes;
pub(crate) mod delete;
mod read;
mod save;
mod try_pull;
