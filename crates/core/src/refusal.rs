//! What meshkeep says when it does not do something: what, why, and what to do next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a caller can do about a refusal; the edges turn it into an HTTP status or an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The request itself is wrong: change it (400).
    Invalid,
    /// No credential, or not one of ours (401).
    Unauthenticated,
    /// A good credential that may not do this (403).
    Forbidden,
    /// No such object in this project (404).
    NotFound,
    /// It clashes with what is there (409).
    Conflict,
    /// The caller edits an older version (412).
    Stale,
    /// Over a stated bound (413).
    TooLarge,
    /// Try again later, nothing to change (503).
    Unavailable,
    /// Our bug, or damage that an operator must see (500).
    Broken,
}

/// A refusal, fit to be shown to the person who asked. It never holds a value, a credential or a request body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Refusal {
    /// What the caller can do about it.
    pub kind: RefusalKind,
    /// A stable word for programs, `snake_case`, such as `wrong_credential`.
    pub code: String,
    /// What was refused and why, one sentence.
    pub message: String,
    /// What to do next, one sentence; empty when the message says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// The member that it is about, such as `container.image`, for a page that shows it beside its field; empty when it is
    /// about none. The message names it as well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Refusal {
    /// A refusal without a hint.
    #[must_use]
    pub fn new(kind: RefusalKind, code: &str, message: impl Into<String>) -> Self {
        Self { kind, code: code.to_owned(), message: message.into(), hint: String::new(), field: String::new() }
    }

    /// The same with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// 400 with the name of the field that is wrong.
    #[must_use]
    pub fn invalid(field: &str, why: impl fmt::Display) -> Self {
        Self { field: field.to_owned(), ..Self::new(RefusalKind::Invalid, "invalid", format!("`{field}` {why}")) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}
