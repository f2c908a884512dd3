//! The root key: where it is, what opens it, and changing it.
//!
//! What must stay true: passphrases come from a file, a credential of the service manager or a terminal, never from
//! arguments; while a change is unfinished both keys are loaded, and the database says which of them seals.

mod place;
mod rotate;

use std::{path::PathBuf, process::ExitCode};

use meshkeep_seal::{KeyService, Lock, LockKind, Passphrase, Pkcs11Uri, RootKey, RootKeyError, RootKeyFile};
use zeroize::Zeroizing;

pub use place::{RootKeyArgs, RootKeyPlace};

use crate::failure::{Exit, Failure};

/// What can be done with the root key.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Rotate(rotate::RotateArgs),
}

/// Does it.
#[must_use]
pub fn run(verb: &Verb) -> ExitCode {
    let done = match verb {
        Verb::Rotate(args) => rotate::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// What a new root key file is locked with.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LockArgs {
    /// Lock the new root key file with a passphrase that is asked for
    #[arg(long)]
    pub new_passphrase: bool,

    /// Lock the new root key file with the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with = "new_passphrase")]
    pub new_passphrase_file: Option<PathBuf>,

    /// Lock the new root key file with a key of a key service (PKCS#11, RFC 7512), made there when it has none of the name
    #[arg(long, value_name = "URI", conflicts_with_all = ["new_passphrase", "new_passphrase_file"])]
    pub new_pkcs11: Option<String>,
}

impl LockArgs {
    /// The lock that they name; none when they name none.
    ///
    /// # Errors
    /// A passphrase that is no good, or a key service that does not do what is asked.
    pub fn lock(&self) -> Result<Option<Box<dyn Lock>>, Failure> {
        if let Some(uri) = &self.new_pkcs11 {
            let uri: Pkcs11Uri =
                uri.parse().map_err(|why| Failure::usage(format!("the URI of the key service {why}")))?;
            return Ok(Some(Box::new(KeyService::open_or_make_key(&uri).map_err(failed)?)));
        }
        let text = match &self.new_passphrase_file {
            Some(path) => place::passphrase_in(path)?,
            None if self.new_passphrase => place::asked_twice()?,
            None => return Ok(None),
        };
        Ok(Some(Box::new(Passphrase::new(text).map_err(failed)?)))
    }
}

/// Opens a file with what its own lock asks for.
pub fn unlock(
    file: RootKeyFile,
    passphrase: impl FnOnce() -> Result<Zeroizing<String>, Failure>,
) -> Result<RootKey, Failure> {
    match file.lock().cloned() {
        None => file.unlock(None),
        Some(LockKind::Passphrase(cost)) => file.unlock(Some(&Passphrase::at_cost(passphrase()?, cost))),
        Some(LockKind::Pkcs11(uri)) => {
            let service = KeyService::open(&uri).map_err(failed)?;
            file.unlock(Some(&service))
        }
    }
    .map_err(failed)
}

/// The failure, with what to do next.
pub fn failed(error: RootKeyError) -> Failure {
    let hint = match &error {
        RootKeyError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            "give its place with `--root-key-file`; without it nothing that is stored can be read"
        }
        RootKeyError::Io { what: "read", .. } => "it must be a regular file that the server's user may read",
        RootKeyError::Io { .. } => "check that the directory exists, belongs to this user and is not full",
        RootKeyError::TooOpen { .. } => "",
        RootKeyError::Format { .. } => "give the file that `meshkeep init` made, or its backup",
        RootKeyError::WrongLock { what: "passphrase", .. } => "give the right one with `--passphrase-file`",
        RootKeyError::WrongLock { .. } => "the key service must hold the very key that the file was locked with",
        RootKeyError::Passphrase { .. } => "four or more random words are easy to keep and hard to guess",
        RootKeyError::KeyService { .. } => "check the module's path, the token, the PIN's file and the name of the key",
    };
    Failure::new(Exit::State, error.to_string()).hint(hint)
}
