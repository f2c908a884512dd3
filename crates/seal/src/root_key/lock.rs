//! What a root key file may be locked with.

use std::fmt;

use super::{PassphraseCost, Pkcs11Uri, RootKeyError};
use crate::envelope::Key;

/// Makes the key that a root key file is locked with. The same lock makes the same key from the same salt, and without the
/// lock's own secret nobody does.
pub trait Lock {
    /// Which lock it is, for the file: all that is needed to ask for its secret.
    fn kind(&self) -> LockKind;

    /// The key for a file with this salt.
    ///
    /// # Errors
    /// When the passphrase or the key service is no good.
    fn locking_key(&self, salt: &[u8; 32]) -> Result<LockingKey, RootKeyError>;
}

/// Locks a root key and nothing else. Wiped on drop, never printed.
#[derive(Debug)]
pub struct LockingKey(pub(super) Key);

/// Which lock a file has. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// A passphrase, made into a key at this cost.
    Passphrase(PassphraseCost),
    /// A key that never leaves its key service.
    Pkcs11(Pkcs11Uri),
}

impl LockKind {
    /// Its secret in words, for an error.
    pub(super) const fn secret(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::Pkcs11(_) => "key of the key service",
        }
    }

    /// As [`LockKind`]'s `Display` writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ')?;
        match word {
            "argon2id" => PassphraseCost::parse(rest).map(Self::Passphrase),
            "pkcs11" => rest.parse().ok().map(Self::Pkcs11),
            _ => None,
        }
    }
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase(cost) => write!(f, "argon2id {cost}"),
            Self::Pkcs11(uri) => write!(f, "pkcs11 {uri}"),
        }
    }
}
