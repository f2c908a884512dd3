//! The only holder of encryption keys: root key → a key per project → a data key per secret version → the entries.
//!
//! Every sealed thing is bound, as associated data, to the place it belongs to, so that it opens nowhere else; every
//! one carries the id of the key that wraps it, so that a wrong key is named and not guessed at.
//! Must never contain: SQL, HTTP, knowledge of what is sealed, or a way to print a key.

#![forbid(unsafe_code)]

mod context;
mod envelope;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzz;
mod keyring;
mod root_key;
mod stream;
mod token;

pub use context::Context;
pub use envelope::{OpenError, Sealed};
pub use keyring::{KeyId, Keyring, Mac, MacKey, ProjectKey};
pub use root_key::{
    KeyService, Lock, LockKind, LockingKey, Passphrase, PassphraseCost, Pkcs11Uri, Private, RootKey, RootKeyError,
    RootKeyFile,
};
pub use stream::{StreamError, StreamReader, StreamWriter, stream_key_id};
pub use token::{fingerprint, random_token};
