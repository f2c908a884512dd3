//! Plaintext in types that wipe themselves and do not print.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    id::{ProjectId, SecretId},
    name::{EntryName, SecretName},
};

/// What stands where a value would: in lists, reads, `Debug` and pages.
pub const REDACTED: &str = "[redacted]";

/// Values of fewer bytes are not redacted from logs: they would hide ordinary words. Whoever saves one is told.
pub const SHORTEST_REDACTED: usize = 6;

/// Secret text: wiped when dropped, `[redacted]` when printed, never compared with `==`.
///
/// Serialises only through [`SecretText::expose`], said aloud at the place where the plaintext goes.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Default)]
pub struct SecretText(String);

impl SecretText {
    /// Takes ownership of `text`; the caller keeps no copy.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The plaintext. Say at the call where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Length in bytes (not secret: sizes stand in refusals).
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the value is the empty string.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// The two kinds of secret. The wire calls them `keys` and `docker`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretKind {
    /// A secret key: entries that become environment variables.
    Keys,
    /// A pull secret: a registry credential.
    Docker,
}

impl SecretKind {
    /// The word on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Docker => "docker",
        }
    }
}

/// The entries of one version of a secret, in name order. A pull secret's are `server`, `username`, `password` and
/// `email`; see [`PullCredential`].
pub type Entries = std::collections::BTreeMap<EntryName, SecretText>;

/// Which secret, without any of its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// The project that owns it.
    pub project: ProjectId,
    /// The secret.
    pub id: SecretId,
    /// Its name when this was recorded.
    pub name: SecretName,
    /// The numbered version, from 1.
    pub version: u32,
}

/// A registry credential, opened for one fetch.
#[derive(Clone, Debug)]
pub struct PullCredential {
    /// The registry it is for, as the person wrote it; `image` normalises it before comparing.
    pub server: String,
    /// The user name. Never printed: some registries put a token here.
    pub username: SecretText,
    /// The password or token.
    pub password: SecretText,
}

/// Words that make a variable's name secret-like, as a whole `_`-separated part of it.
const SECRET_WORDS: [&str; 16] = [
    "KEY",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PWD",
    "CREDENTIAL",
    "CREDENTIALS",
    "PRIVATE",
    "AUTH",
    "DSN",
    "COOKIE",
    "JWT",
];

/// What a person should know about a value that is stored byte for byte. Never holds the value.
#[must_use]
pub fn remarks(name: &str, value: &SecretText) -> Vec<String> {
    let text = value.expose();
    let mut remarks = blanks(name, text);
    if text.len() < SHORTEST_REDACTED {
        remarks.push(format!("`{name}` is under {SHORTEST_REDACTED} bytes and will not be redacted from logs"));
    }
    remarks
}

/// The same about blanks only.
#[must_use]
pub fn blanks(name: &str, text: &str) -> Vec<String> {
    if text.ends_with('\n') {
        vec![format!("`{name}` ends with a newline; it is kept")]
    } else if text.trim() != text {
        vec![format!("`{name}` begins or ends with a blank; it is kept")]
    } else {
        Vec::new()
    }
}

/// Whether a variable of this name likely holds a secret.
#[must_use]
pub fn is_secret_like(name: &str) -> bool {
    name.split('_').any(|part| SECRET_WORDS.iter().any(|word| part.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_make_a_name_secret_like() {
        for name in ["API_KEY", "key", "DB_PASSWORD", "Github_Token"] {
            assert!(is_secret_like(name), "{name}");
        }
        for name in ["MONKEY", "KEYBOARD", "TOKENIZER_PATH", "AUTHOR", "PORT"] {
            assert!(!is_secret_like(name), "{name}");
        }
    }
}
