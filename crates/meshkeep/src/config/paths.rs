//! Where things are within the data directory, and what stands beside it.

use std::path::{Path, PathBuf};

use super::usage;
use crate::failure::Failure;

/// The data directory, as an absolute path that ends in a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// Takes a path as the operator wrote it.
    ///
    /// # Errors
    /// When it has no name of its own (`/`, `..`), so that nothing could stand beside it.
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let absolute = std::path::absolute(path).map_err(|error| usage(format!("the data directory: {error}")))?;
        // Without the slash that completion leaves at the end.
        let absolute: PathBuf = absolute.components().collect();
        match absolute.file_name() {
            Some(_) => Ok(Self(absolute)),
            None => Err(usage(format!("{} cannot be a data directory", path.display()))
                .hint("give a directory with a name of its own, such as /var/lib/meshkeep")),
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory it stands in.
    #[must_use]
    pub fn parent(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("/"))
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.0.join("meshkeep.db")
    }

    /// The layer store.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// The embedded engine's state and the workloads' logs.
    #[must_use]
    pub fn engine(&self) -> PathBuf {
        self.0.join("engine")
    }

    /// Rooms' and projects' files.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.engine().join("storage")
    }

    /// Beside the directory, so that an old copy that is put back is noticed.
    #[must_use]
    pub fn anchor(&self) -> PathBuf {
        self.beside(".anchor")
    }

    /// Beside the directory, so that a copy of the directory alone opens nothing.
    #[must_use]
    pub fn default_root_key(&self) -> PathBuf {
        self.beside(".root-key")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        with_ending(&self.0, ending)
    }
}

/// The path with this behind its name.
#[must_use]
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
