//! A workload's directory: `record.json` (written by the server before a start), `exit.json` (written by the supervisor
//! after an end), `socket`, `log` and `log.1`. Holds ids and names, never values.
//!
//! What must stay true: both records appear whole or not at all; every file is 0600 in a directory that is 0700, opened
//! relative to a directory handle without following links.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use meshkeep_core::{
    id::{ServiceId, SessionId, WorkloadId},
    name::ServiceName,
    secret::SecretRef,
};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, unlinkat};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The record of a start.
pub(super) const RECORD: &str = "record.json";
/// The record of its end.
pub(super) const EXIT: &str = "exit.json";
/// Where the supervisor listens.
pub(super) const SOCKET: &str = "socket";
/// The log being written.
pub(super) const LOG: &str = "log";
/// The log before it.
pub(super) const OLD_LOG: &str = "log.1";

/// Bytes of a record at most.
const MAX_RECORD: u64 = 1 << 20;

/// What the server writes down before it starts a workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Version of this record.
    pub version: u32,
    /// The workload.
    pub id: WorkloadId,
    /// Its session.
    pub session: SessionId,
    /// Its service.
    pub service: ServiceId,
    /// The service's name.
    pub service_name: ServiceName,
    /// Which start this is.
    pub attempt: u32,
    /// The boot of the host it was started in.
    pub boot_id: String,
    /// First host id of its range.
    pub id_base: u32,
    /// Its address.
    pub address: Ipv4Addr,
    /// The image, as the manifest wrote it, and its digest.
    pub image: (String, String),
    /// Which secrets it was given, by version.
    pub secrets: Vec<SecretRef>,
    /// Whether the server was told to stop it for good.
    #[serde(default)]
    pub stopped: bool,
}

/// Opens a directory of ours.
pub(super) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a regular file in `dir`, never through a link.
pub(super) fn open_file(dir: impl AsFd, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other(format!("{name} is no regular file"))) }
}

/// Reads a record; `None` when there is none.
pub(super) fn read_record<T: DeserializeOwned>(dir: impl AsFd, name: &str) -> io::Result<Option<T>> {
    let file = match open_file(dir, name, OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_RECORD).read_to_end(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// How lasting a record must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// It says what runs now; after a power cut nothing runs.
    ThisBoot,
    /// It must survive a power cut.
    Synced,
}

/// Writes a record whole: under a temporary name, then renamed.
pub(super) fn write_record<T: Serialize>(dir: impl AsFd, name: &str, record: &T, lasting: Lasting) -> io::Result<()> {
    let temporary = format!("{name}.new");
    let mut file = open_file(&dir, &temporary, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    if lasting == Lasting::Synced {
        file.sync_all()?;
    }
    renameat(&dir, temporary.as_str(), &dir, name)?;
    if lasting == Lasting::Synced {
        rustix::fs::fsync(&dir)?;
    }
    Ok(())
}

/// Removes a file; it may be gone already.
pub(super) fn forget(dir: impl AsFd, name: &str) -> io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
