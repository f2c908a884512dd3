//! Why a command of the operator did not start: one line, and an exit code by kind.

use std::{fmt, io, path::Path, process::ExitCode};

use meshkeep_core::Refusal;

/// Exit codes of `serve` and `init`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command line or a settings file is wrong.
    Usage = 2,
    /// What is stored, or the key to it, is missing, foreign or damaged.
    State = 3,
    /// The machine refuses: a taken port, a missing privilege or kernel feature.
    Host = 4,
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

    /// What the machine refused.
    pub fn host(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::Host, format!("{what}: {error}"))
    }

    /// A refusal of another crate.
    pub fn refusal(exit: Exit, refusal: Refusal) -> Self {
        Self { exit, message: refusal.message, hint: refusal.hint }
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

    /// Says it on standard error.
    pub fn report(&self) -> ExitCode {
        eprintln!("meshkeep: {self}");
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    /// Always one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        f.write_str(&line(&self.message))?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", line(&self.hint)) }
    }
}
