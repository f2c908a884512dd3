//! What a backup holds: a tar of what it is about, the database and the stored files, sealed as a stream.

use meshkeep_core::Timestamp;
use meshkeep_seal::Context;
use serde::{Deserialize, Serialize};

/// What the file is.
pub(super) const ABOUT: &str = "about.json";
/// The database.
pub(super) const DATABASE: &str = "meshkeep.db";
/// Rooms' and projects' files.
pub(super) const STORAGE: &str = "storage";

/// `about.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct About {
    /// 1.
    pub format: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// The version of meshkeep that made it.
    pub version: String,
}

/// What its key is bound to.
pub(super) fn context() -> Context {
    Context::new("backup")
}
