//! Two modules of crates whose dependencies (containers, a database) the fuzzer would wait for in vain.

#[path = "../../crates/control/src/fuzz.rs"]
pub mod fuzz;
#[path = "../../crates/engine/src/redact/mod.rs"]
pub mod redact;
#[path = "../../crates/control/src/token.rs"]
pub mod token;
