//! The client commands as a person meets them: the built program, its output, its exit codes, what it sends.

mod help;
mod refusals;
mod requests;
mod support;
mod terminal;
