//! What the operator's commands have in common: they work on a data directory themselves, not through a server.
//!
//! What must stay true: the process is hardened, and its files are private, before a key or a value is read.

use std::path::PathBuf;

use meshkeep_store::StoreError;

use crate::{
    config::{DataDir, Environment},
    failure::{Exit, Failure},
    root_key::{RootKeyArgs, RootKeyPlace},
    serve::{harden, private_files},
};

/// Which data directory, and what opens it.
#[derive(Debug, clap::Args)]
pub struct HereArgs {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,

    #[command(flatten)]
    pub root_key: RootKeyArgs,
}

impl HereArgs {
    /// The directory, for a hardened process.
    ///
    /// # Errors
    /// When it cannot be hardened, or the path has no name of its own.
    pub fn enter(&self) -> Result<DataDir, Failure> {
        enter(&self.data_dir)
    }

    /// Where the root key of the directory is.
    pub fn place(&self, dir: &DataDir) -> RootKeyPlace {
        RootKeyPlace::find(self.root_key.clone(), dir, &Environment::read())
    }
}

/// Hardens the process; the data directory that `path` names.
///
/// # Errors
/// When it cannot be hardened, or the path has no name of its own.
pub fn enter(path: &std::path::Path) -> Result<DataDir, Failure> {
    harden().map_err(|error| Failure::host("the process could not be hardened", &error))?;
    private_files();
    DataDir::new(path)
}

/// Does something with the store, on this thread.
///
/// # Errors
/// What the store refuses, or what else `work` says.
pub fn in_store<T, E: Into<StoreFailure>>(work: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::host("cannot start", &error))?;
    runtime.block_on(work).map_err(|error| error.into().0)
}

/// What the store refuses is a state that the operator can change.
pub struct StoreFailure(Failure);

impl From<StoreError> for StoreFailure {
    fn from(error: StoreError) -> Self {
        Self(Failure::refusal(Exit::State, error.refusal()))
    }
}

impl From<Failure> for StoreFailure {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}
