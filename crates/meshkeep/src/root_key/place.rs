//! Where the root key and its passphrase are found.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use meshkeep_seal::{Keyring, Private, RootKey, RootKeyError, RootKeyFile};
use zeroize::Zeroizing;

use super::{failed, unlock};
use crate::{
    cmd::Terminal,
    config::{DataDir, Environment, with_ending},
    failure::Failure,
};

/// Names of the credentials that the service manager may pass (systemd.exec(5), `LoadCredential=`).
const KEY_CREDENTIAL: &str = "meshkeep.root-key";
const PASSPHRASE_CREDENTIAL: &str = "meshkeep.passphrase";

/// Bytes of a passphrase's file at most.
const MOST_PASSPHRASE: u64 = 4096;

/// Where the root key is.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RootKeyArgs {
    /// The root key [default: systemd's credential meshkeep.root-key, else beside the data directory, as DIR.root-key]
    #[arg(long, value_name = "FILE")]
    pub root_key_file: Option<PathBuf>,

    /// The passphrase of a locked root key [default: systemd's credential meshkeep.passphrase, else a terminal is asked]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Where the root key is, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKeyPlace {
    /// The file.
    pub file: PathBuf,
    private: Private,
    passphrase_file: Option<PathBuf>,
}

impl RootKeyPlace {
    /// What the operator says over what the service manager passes over the place beside the data directory.
    #[must_use]
    pub fn find(args: RootKeyArgs, dir: &DataDir, environment: &Environment) -> Self {
        let credential = |name: &str| {
            let path = environment.credentials.as_deref().map(|at: &OsStr| Path::new(at).join(name));
            path.filter(|path| path.is_file())
        };
        let passphrase_file = args.passphrase_file.or_else(|| credential(PASSPHRASE_CREDENTIAL));
        match (args.root_key_file, credential(KEY_CREDENTIAL)) {
            (Some(file), _) => {
                Self { file: std::path::absolute(&file).unwrap_or(file), private: Private::ToOwner, passphrase_file }
            }
            (None, Some(file)) => Self { file, private: Private::Credential, passphrase_file },
            (None, None) => Self { file: dir.default_root_key(), private: Private::ToOwner, passphrase_file },
        }
    }

    /// Whether the service manager passed it: then it is a copy, and changing it changes nothing.
    #[must_use]
    pub const fn is_credential(&self) -> bool {
        matches!(self.private, Private::Credential)
    }

    /// Where the next key waits while the root key is changed.
    #[must_use]
    pub fn next(&self) -> PathBuf {
        with_ending(&self.file, ".next")
    }

    /// The keys that there are: one, or two while a change is unfinished.
    ///
    /// # Errors
    /// When none of them opens.
    pub fn keyring(&self) -> Result<Keyring, Failure> {
        let mut passphrase = None;
        let mut open = |file: RootKeyFile| {
            unlock(file, || {
                if passphrase.is_none() {
                    passphrase = Some(self.passphrase()?);
                }
                Ok(passphrase.clone().unwrap_or_default())
            })
        };
        let root = self.read().and_then(&mut open);
        match (root, self.read_next()?) {
            (Ok(root), None) => Ok(Keyring::new(root)),
            (Ok(root), Some(next)) => {
                let mut ring = Keyring::new(root);
                // Locked otherwise, it is not needed before the database is under it.
                if let Ok(next) = open(next) {
                    ring.add(next);
                }
                Ok(ring)
            }
            (Err(_), Some(next)) => open(next).map(Keyring::new),
            (Err(failure), None) => Err(failure),
        }
    }

    /// The file, not opened yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<RootKeyFile, Failure> {
        RootKeyFile::read(&self.file, self.private).map_err(failed)
    }

    /// The next key's file; none when there is none, or none that is whole: nothing can be under that one.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read_next(&self) -> Result<Option<RootKeyFile>, Failure> {
        match RootKeyFile::read(&self.next(), Private::ToOwner) {
            Ok(file) => Ok(Some(file)),
            Err(RootKeyError::Format { .. }) => Ok(None),
            Err(RootKeyError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Opens a file of this place.
    ///
    /// # Errors
    /// Without the right passphrase or key service.
    pub fn open(&self, file: RootKeyFile) -> Result<RootKey, Failure> {
        unlock(file, || self.passphrase())
    }

    /// The passphrase, from its file or the terminal.
    ///
    /// # Errors
    /// When it is nowhere.
    pub fn passphrase(&self) -> Result<Zeroizing<String>, Failure> {
        match &self.passphrase_file {
            Some(path) => passphrase_in(path),
            None => {
                let terminal = Terminal::open().map_err(|_| {
                    Failure::usage(format!("{} is locked with a passphrase", self.file.display()))
                        .hint("name its file with `--passphrase-file`, or start this on a terminal to be asked")
                })?;
                let text = terminal.hidden(&format!("Passphrase of {}: ", self.file.display()))?;
                Ok(Zeroizing::new(text.expose().to_owned()))
            }
        }
    }
}

/// A new passphrase, twice the same.
pub(super) fn asked_twice() -> Result<Zeroizing<String>, Failure> {
    let terminal = Terminal::open().map_err(|_| {
        Failure::usage("there is no terminal to ask for the new passphrase").hint("use `--new-passphrase-file`")
    })?;
    let [first, again] = ["New passphrase: ", "Again: "].map(|question| terminal.hidden(question));
    let (first, again) = (first?, again?);
    if first.expose() != again.expose() {
        return Err(Failure::usage("the two are not the same; nothing was changed"));
    }
    Ok(Zeroizing::new(first.expose().to_owned()))
}

/// The text of a passphrase's file, without the newline at its end.
pub(super) fn passphrase_in(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("the passphrase file {} cannot be read: {why}", path.display()))
    };
    let mut text = Zeroizing::new(String::with_capacity(4097));
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(MOST_PASSPHRASE + 1).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    if text.len() as u64 > MOST_PASSPHRASE {
        return Err(unreadable(&"it is too large"));
    }
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
