//! An engine in memory, for the tests of other crates: it starts nothing, and a test decides how each start ends.

mod fake;
mod logs;

pub use fake::{FakeEngine, Start};
