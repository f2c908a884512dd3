//! What the process takes from itself before it holds a key.

use std::io;

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask},
};

/// Nobody else may read this process's memory, and it leaves no core dump. A limit of 0 would not stop a piped
/// `core_pattern`; 1 does.
///
/// # Errors
/// What the kernel said.
pub fn harden() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) })?;
    // As many files as allowed; a limit that cannot be raised stays.
    let files = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
    Ok(())
}

/// New files belong to their maker alone.
pub fn private_files() {
    umask(Mode::from_raw_mode(0o077));
}
