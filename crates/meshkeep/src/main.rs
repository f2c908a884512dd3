//! meshkeep.
fn main() {}
