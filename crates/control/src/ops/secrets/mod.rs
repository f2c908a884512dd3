//! Secrets: saving, reading without values, revealing, deleting.

mod delete;
mod read;
mod save;
