//! What goes on by itself after it was begun: recorded before each step, so that the next start of the server takes it up
//! where a killed one left it.

mod rolling;

pub use rolling::RollingPace;
