//! The redactor: what a service writes goes to its log without the values it was given.
//!
//! Every byte that lies in an occurrence of a pattern is replaced, also in one that the end of the stream cuts, and
//! each run of such bytes becomes one `[redacted]`, wherever reads from the service's pipe happen to split it. Patterns
//! are the values, their lines, and the forms that programs commonly write them in ([`forms`]); values shorter than six
//! bytes are left alone, or ordinary text would vanish.
//!
//! What must stay true: nothing that may still become a pattern leaves before it is decided; patterns and held input
//! are wiped. What cannot be wiped: copies in the processor's registers and stack while bytes are compared.
//!
//! Time is linear in ordinary text. A service that writes the long beginning of its own value over and over makes each
//! position cost up to the length of that value; it slows only its own log.

mod forms;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzz;
mod patterns;
mod stream;
#[cfg(test)]
mod tests;

pub use stream::Redactor;
