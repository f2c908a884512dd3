//! Names: text that was checked once, at the edge, and is trusted from then on.
//!
//! Each alphabet is strict on purpose: names stand in URLs, host names, audit rows and file names.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not a name. The message completes "the name …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// Longer than the bound, in bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// A character or position that is not allowed; the text says what is.
    #[error("{0}")]
    Alphabet(&'static str),
}

macro_rules! name {
    ($($(#[$doc:meta])* $name:ident($check:ident)),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                $check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                $check(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )+};
}

name! {
    /// A room's name: 1–63 of `[a-z0-9-]` with alphanumeric ends (a DNS label, RFC 1123).
    RoomName(dns_label),
    /// A service's `metadata.name`: 1–63 of `[A-Za-z0-9._-]` with alphanumeric ends. Other services of the session
    /// reach it under this name, in lower case.
    ServiceName(service_label),
    /// A secret's name: 1–253 of `[A-Za-z0-9._-]` with alphanumeric ends.
    SecretName(secret_label),
    /// One entry of a secret key, and the name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, at most 255 bytes.
    EntryName(variable),
    /// What people call a project, an API key or a participant: 1–128 characters without control characters, no blank ends.
    DisplayName(display),
}

fn bounded(text: &str, max: usize) -> Result<(), BadName> {
    match text.len() {
        0 => Err(BadName::Empty),
        n if n > max => Err(BadName::TooLong(max)),
        _ => Ok(()),
    }
}

fn alphanumeric_ends(text: &str) -> bool {
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    alphanumeric(text.chars().next()) && alphanumeric(text.chars().next_back())
}

fn dns_label(text: &str) -> Result<(), BadName> {
    bounded(text, 63)?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.chars().all(allowed) && alphanumeric_ends(text) {
        Ok(())
    } else {
        Err(BadName::Alphabet("may hold only a-z, 0-9 and '-', and begins and ends with a letter or digit"))
    }
}

fn label(text: &str, max: usize) -> Result<(), BadName> {
    bounded(text, max)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.chars().all(allowed) && alphanumeric_ends(text) {
        Ok(())
    } else {
        Err(BadName::Alphabet(
            "may hold only letters, digits, '.', '_' and '-', and begins and ends with a letter or digit",
        ))
    }
}

fn service_label(text: &str) -> Result<(), BadName> {
    label(text, 63)
}

fn secret_label(text: &str) -> Result<(), BadName> {
    label(text, 253)
}

fn variable(text: &str) -> Result<(), BadName> {
    bounded(text, 255)?;
    let mut chars = text.chars();
    let head = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if head && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(())
    } else {
        Err(BadName::Alphabet("may hold only letters, digits and '_', and does not begin with a digit"))
    }
}

fn display(text: &str) -> Result<(), BadName> {
    bounded(text, 512)?;
    if text.chars().count() > 128 {
        return Err(BadName::TooLong(128));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(BadName::Alphabet("may not hold control characters, nor begin or end with a blank"));
    }
    Ok(())
}
