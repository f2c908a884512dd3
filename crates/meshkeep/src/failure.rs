//! Why a command did not do what it was asked: one line, and an exit code by kind.
//!
//! What must stay true: the line holds no value, no key bytes and no control character.

use std::{fmt, io, path::Path, process::ExitCode};

use meshkeep_core::{Refusal, RefusalKind};

/// The table of [`Exit`] as `--help` shows it.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   the server refused what was asked; change it
  2   the command line, a file given to it, or a setting is wrong
  3   of what is stored, or the key to it, something is missing, foreign or damaged
  4   the machine refuses (a taken port, a missing privilege or kernel feature)
  5   no good credential, or one that may not do this
  6   there is no such secret, service, room, session or key
  7   it clashes with what is there, or somebody else saved in between
  8   the server cannot be reached, or cannot do it now; try again
  9   a fault of the server; its log says more under the request's id
  10  the session was launched, and a service of it did not start; or a rolling restart stopped";

/// Exit codes of the program. Kept as [`EXIT_CODES`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing failed: whoever read the output has gone.
    ReaderGone = 0,
    /// The server refuses the request itself.
    Refused = 1,
    /// The command line or a file given to it is wrong.
    Usage = 2,
    /// What is stored, or the key to it, is missing, foreign or damaged.
    State = 3,
    /// The machine refuses: a taken port, a missing privilege or kernel feature.
    Host = 4,
    /// No good credential, or one that may not do this.
    Denied = 5,
    /// No such object.
    NotFound = 6,
    /// It clashes with what is there.
    Conflict = 7,
    /// Not reachable, or not now.
    Unavailable = 8,
    /// A fault of the server.
    Broken = 9,
    /// A session was launched and not all of its services run, or a rolling restart stopped.
    Degraded = 10,
}

impl From<RefusalKind> for Exit {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Invalid | RefusalKind::TooLarge => Self::Refused,
            RefusalKind::Unauthenticated | RefusalKind::Forbidden => Self::Denied,
            RefusalKind::NotFound => Self::NotFound,
            RefusalKind::Conflict | RefusalKind::Stale => Self::Conflict,
            RefusalKind::Unavailable => Self::Unavailable,
            RefusalKind::Broken => Self::Broken,
        }
    }
}

/// One line for a person. Never holds a value or key bytes.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    hint: String,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: String::new() }
    }

    /// The command line, or a file given to it, is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What the machine refused.
    pub fn host(what: &str, error: &io::Error) -> Self {
        let failure = Self::new(Exit::Host, format!("{what}: {error}"));
        match error.kind() {
            io::ErrorKind::StorageFull => failure.hint("make room on that disk, then try again; nothing was changed"),
            io::ErrorKind::ReadOnlyFilesystem => {
                failure.hint("that file system is read-only; the kernel's log may say why")
            }
            _ => failure,
        }
    }

    /// A refusal of another crate.
    pub fn refusal(exit: Exit, refusal: Refusal) -> Self {
        Self { exit, message: refusal.message, hint: refusal.hint }
    }

    /// Whoever read the output has gone (`| head`): the end, and no failure.
    pub fn reader_gone() -> Self {
        Self::new(Exit::ReaderGone, "")
    }

    /// The same with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same, naming the file that it is about.
    pub fn within(mut self, file: &Path) -> Self {
        self.message = format!("{}: {}", file.display(), self.message);
        self
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next; may be empty.
    pub fn what_to_do(&self) -> &str {
        &self.hint
    }

    /// Its kind.
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// Says it on standard error.
    pub fn report(&self) -> ExitCode {
        if self.exit != Exit::ReaderGone {
            eprintln!("meshkeep: {self}");
        }
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    /// Always one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.message))?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", one_line(&self.hint)) }
    }
}

/// Text of others, fit for a terminal: blanks joined, nothing that moves the cursor.
pub fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace(char::is_control, "\u{fffd}")
}
