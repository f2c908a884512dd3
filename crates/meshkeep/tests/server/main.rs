//! The operator's commands as an operator meets them: the built program, real directories, real exit codes.

mod init;
mod refusals;
mod support;
