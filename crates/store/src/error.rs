//! Why the store refused.

use meshkeep_core::{Refusal, RefusalKind};
use meshkeep_seal::{KeyId, OpenError};

/// Why the store did not do something. Never holds a value.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The name or place is in use.
    #[error("the {what} is taken")]
    Taken {
        /// What is taken, such as `secret name`.
        what: &'static str,
    },
    /// Not initialised.
    #[error("there is no meshkeep database at {path}")]
    Missing {
        /// Where it was looked for.
        path: String,
    },
    /// Initialised already.
    #[error("there is a meshkeep database at {path} already")]
    Exists {
        /// Where.
        path: String,
    },
    /// Written by a newer meshkeep.
    #[error("the database has schema {found}, and this version knows up to {known}")]
    NewerSchema {
        /// Its schema.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// Not brought up to date yet.
    #[error("the database has schema {found}, and this version works with {known}")]
    OlderSchema {
        /// Its schema.
        found: i64,
        /// The one that is needed.
        known: i64,
    },
    /// Sealed under another root key.
    #[error("the database is sealed under root key {needed}, but root key {given} was given")]
    WrongKey {
        /// The key that would open it.
        needed: KeyId,
        /// The key that was given.
        given: KeyId,
    },
    /// Damaged or tampered with.
    #[error("the database is damaged: {what}")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// An old copy was put back.
    #[error("the database is older than its anchor: {what}")]
    Older {
        /// What it lacks.
        what: String,
    },
    /// The file that tells how far the database had come is gone, or another one.
    #[error("the anchor of the database, {path}, {what}")]
    NoAnchor {
        /// Where it should be.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The database refused.
    #[error("the database could not {what}")]
    Database {
        /// The transaction or step.
        what: &'static str,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
    /// The file system refused.
    #[error("{path} could not be {what}")]
    Io {
        /// Which file.
        path: String,
        /// Read, made, copied.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What a database's refusal means to a person.
enum Trouble {
    Busy,
    Full,
    ReadOnly,
    NoFiles,
    Other,
}

impl Trouble {
    /// By SQLite's (extended) result codes, whose low byte is the primary one (sqlite.org/rescode.html).
    fn of(source: &sqlx::Error) -> Self {
        let code = match source {
            sqlx::Error::PoolTimedOut => return Self::Busy,
            sqlx::Error::Database(error) => error.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default(),
            _ => return Self::Other,
        };
        match code & 0xff {
            5 | 6 => Self::Busy,
            13 => Self::Full,
            8 => Self::ReadOnly,
            // A write that the disk refuses; what is not full is broken, or has become read-only.
            10 => Self::ReadOnly,
            14 => Self::NoFiles,
            _ => Self::Other,
        }
    }
}

impl StoreError {
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    /// What did not open, in the words of the seal.
    pub(crate) fn unopened(what: &str, error: OpenError) -> Self {
        match error {
            OpenError::OtherKey { needed, given } => Self::WrongKey { needed, given },
            OpenError::Format | OpenError::Damaged => Self::damaged(format!("{what} {error}")),
        }
    }

    /// The refusal for a person.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let of = |kind, code| Refusal::new(kind, code, self.to_string());
        match self {
            Self::Taken { .. } => of(RefusalKind::Conflict, "taken").hint("choose another name"),
            Self::Missing { .. } => of(RefusalKind::NotFound, "not_initialised").hint("run `meshkeep init` first"),
            Self::Exists { .. } => of(RefusalKind::Conflict, "already_initialised")
                .hint("use this data directory with `meshkeep serve`, or choose another one"),
            Self::NewerSchema { .. } => of(RefusalKind::Invalid, "newer_database")
                .hint("start the meshkeep version that wrote it, or a newer one"),
            Self::OlderSchema { .. } => of(RefusalKind::Invalid, "older_database")
                .hint("start the server of this version once; it brings the database up to date"),
            Self::WrongKey { .. } => {
                of(RefusalKind::Invalid, "wrong_root_key").hint("give the right file with `--root-key-file`")
            }
            Self::Damaged { .. } => of(RefusalKind::Broken, "damaged")
                .hint("`meshkeep doctor` names all that is damaged; restore a backup, or let `doctor --accept` remove it"),
            Self::Older { .. } => of(RefusalKind::Broken, "older_database_put_back").hint(
                "put the newer one back; if this one is meant, `meshkeep doctor --accept` takes it as it is, and says so in the audit",
            ),
            Self::NoAnchor { .. } => of(RefusalKind::Broken, "no_anchor").hint(
                "put the file back; if this database is the newest there is, `meshkeep doctor --accept` makes a new anchor, and says so in the audit",
            ),
            Self::Database { source, .. } => match Trouble::of(source) {
                Trouble::Busy => of(RefusalKind::Unavailable, "database_busy")
                    .hint("another program holds it; nothing was changed, try again"),
                Trouble::Full => Refusal::new(RefusalKind::Unavailable, "disk_full", format!("{self}: the disk is full"))
                    .hint("make room where the data directory is; nothing was changed, and no restart is needed"),
                Trouble::ReadOnly => {
                    Refusal::new(RefusalKind::Unavailable, "read_only", format!("{self}: it cannot be written"))
                        .hint("the file system is read-only, or failed; the kernel's log says why. Nothing was changed")
                }
                Trouble::NoFiles => {
                    Refusal::new(RefusalKind::Unavailable, "no_files", format!("{self}: no file can be opened any more"))
                        .hint("raise the server's limit of open files (`LimitNOFILE=`), or try again later")
                }
                Trouble::Other => of(RefusalKind::Broken, "database")
                    .hint("the server's log has the cause; check the disk's space and permissions"),
            },
            Self::Io { source, .. } => Refusal::new(RefusalKind::Broken, "io", format!("{self}: {source}"))
                .hint("check that the path exists, belongs to this user and is not full"),
        }
    }
}
