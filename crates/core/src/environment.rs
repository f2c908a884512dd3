//! The environment of a service: one pure function, lowest to highest — the image's `ENV`, platform variables, secret
//! keys in the order they are bound, explicit `environment` entries.
//!
//! The answer carries where each name came from and what it hid, so that people can be shown winners and losers
//! without any value.

use crate::{SecretText, name::{EntryName, SecretName}};

/// Linux's `MAX_ARG_STRLEN` (include/uapi/linux/binfmts.h): one `NAME=value` with its NUL may hold at most this many
/// bytes, so `NAME=value` itself must be shorter.
pub const MAX_STRING_BYTES: usize = 131_072;

/// Where a variable came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The image's `ENV`.
    Image,
    /// Set by meshkeep.
    Platform,
    /// An entry of a bound secret key.
    Secret(SecretName),
    /// An `environment` entry of the manifest.
    Manifest,
}

/// One variable as the service will see it.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: EntryName,
    /// Its value.
    pub value: SecretText,
    /// Where the winner came from.
    pub origin: Origin,
    /// Whose values it hides, lowest first.
    pub hides: Vec<Origin>,
}

/// A service's whole environment, in name order.
#[derive(Clone, Debug, Default)]
pub struct Environment(pub Vec<Variable>);
