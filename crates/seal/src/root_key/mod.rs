//! The root key, and the forms in which it rests: see [`RootKeyFile`].

mod file;
mod lock;
mod passphrase;
mod pkcs11;

pub use file::{Private, RootKeyFile};
pub use lock::{Lock, LockKind, LockingKey};
pub use passphrase::{Passphrase, PassphraseCost};
pub use pkcs11::{KeyService, Pkcs11Uri};

use crate::{KeyId, envelope::Key};

/// The one key that unlocks everything else.
#[derive(Debug)]
pub struct RootKey {
    id: KeyId,
    key: Key,
}

impl RootKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self { id: KeyId::random(), key: Key::random() }
    }

    /// Its id, which every record under it carries.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) const fn from_parts(id: KeyId, key: Key) -> Self {
        Self { id, key }
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }
}

/// Why a root key could not be read or written. Never holds key bytes, a passphrase or a PIN.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The file could not be read or written.
    #[error("the root key file {path} could not be {what}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Read, made, synced.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("the root key file {path} is open to others (mode {mode:03o}); run: chmod 600 {path}")]
    TooOpen {
        /// Which file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a root key.
    #[error("{path} is not a whole root key file of this version")]
    Format {
        /// Which file.
        path: String,
    },
    /// The passphrase, or the key of the key service, is another one.
    #[error("{path} does not open with this {what}")]
    WrongLock {
        /// Which file.
        path: String,
        /// `passphrase`, or `key of the key service`.
        what: &'static str,
    },
    /// No good passphrase.
    #[error("the passphrase {why}")]
    Passphrase {
        /// What is wrong with it.
        why: String,
    },
    /// The key service does not do what is asked.
    #[error("the key service {uri} {why}")]
    KeyService {
        /// Which one, without a PIN.
        uri: String,
        /// What it said.
        why: String,
    },
}
