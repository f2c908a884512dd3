//! Kernel settings under `/proc/sys/net`, which belong to the network namespace of the thread that opens them.

use std::{fs, io, path::Path};

use super::error::NetError;

fn at(name: &str) -> std::path::PathBuf {
    Path::new("/proc/sys/net").join(name)
}

/// Reads a setting.
pub(super) fn read(name: &str) -> Result<String, NetError> {
    let failed = |source| NetError::Sysctl { name: name.to_owned(), what: "read", source };
    fs::read_to_string(at(name)).map(|text| text.trim_end().to_owned()).map_err(failed)
}

/// Writes a setting.
pub(super) fn write(name: &str, value: &str) -> Result<(), NetError> {
    let failed = |source| NetError::Sysctl { name: name.to_owned(), what: "written", source };
    fs::write(at(name), value).map_err(failed)
}

/// Writes a setting that a kernel without IPv6 does not have.
pub(super) fn write_if_there(name: &str, value: &str) -> Result<(), NetError> {
    match write(name, value) {
        Err(NetError::Sysctl { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
