//! The records of sessions' networks: one small file each, `<session>.json`.
//!
//! They are whole or not there. They need not be on the disk before the bridge is made: what the disk forgets in a crash
//! of the machine, the kernel forgets too.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use meshkeep_core::id::SessionId;

use super::{error::NetError, session::SessionNetwork};

/// The directory of the records.
pub(super) struct Records {
    dir: PathBuf,
}

impl Records {
    /// Opens the directory, made when it is not there.
    pub fn open(dir: PathBuf) -> Result<Self, NetError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(at(&dir, "made"))?;
        Ok(Self { dir })
    }

    /// Where the records are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All records. What is no record, such as one that a crash left half-written, is removed.
    pub fn load(&self) -> Result<HashMap<SessionId, SessionNetwork>, NetError> {
        let mut sessions = HashMap::new();
        for entry in fs::read_dir(&self.dir).map_err(at(&self.dir, "read"))? {
            let path = entry.map_err(at(&self.dir, "read"))?.path();
            let id = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")?.parse().ok());
            let bytes = fs::read(&path).map_err(at(&path, "read"))?;
            match (id, serde_json::from_slice(&bytes)) {
                (Some(id), Ok(network)) => {
                    sessions.insert(id, network);
                }
                _ => remove_file(&path)?,
            }
        }
        Ok(sessions)
    }

    /// Writes a record; it outlives this process.
    pub fn write(&self, id: SessionId, network: &SessionNetwork) -> Result<(), NetError> {
        let path = self.path(id);
        self.replace(&path, network).map_err(at(&path, "written"))
    }

    fn replace(&self, path: &Path, network: &SessionNetwork) -> io::Result<()> {
        let half = path.with_extension("half");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
        file.write_all(&serde_json::to_vec(network)?)?;
        fs::rename(&half, path)
    }

    /// Removes a record. One that is not there is no failure.
    pub fn remove(&self, id: SessionId) -> Result<(), NetError> {
        remove_file(&self.path(id))
    }

    fn path(&self, id: SessionId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }
}

fn remove_file(path: &Path) -> Result<(), NetError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(at(path, "removed")),
    }
}

fn at(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> NetError {
    let path = path.to_owned();
    move |source| NetError::Record { path, what, source }
}
