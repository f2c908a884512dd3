//! Why a start did not happen, from the step that failed to the sentence a person reads.

use std::{error::Error, fmt::Write as _, io};

use meshkeep_core::{Refusal, RefusalKind};

/// A start that did not happen.
#[derive(Debug)]
pub(super) enum Fault {
    /// The image or the manifest asks for something that cannot be; says what to change.
    Refused(Refusal),
    /// A step failed on this host.
    Step {
        /// What was being done.
        doing: String,
        /// What happened.
        source: Box<dyn Error>,
    },
}

impl Fault {
    /// The user must change something.
    pub(super) fn invalid(code: &str, message: impl Into<String>, hint: &str) -> Self {
        Self::Refused(Refusal::new(RefusalKind::Invalid, code, message).hint(hint))
    }

    /// For people. Names steps and errors of the kernel, never a value.
    pub(super) fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Step { doing, source } => {
                let mut message = format!("the container could not be started: {doing}: {source}");
                let mut cause = source.source();
                while let Some(error) = cause {
                    let text = error.to_string();
                    if !message.ends_with(&text) {
                        // Writing to a string cannot fail.
                        let _ = write!(message, ": {text}");
                    }
                    cause = error.source();
                }
                Refusal::new(RefusalKind::Broken, "could_not_start", message)
                    .hint("look at the host's kernel log, memory, disk and open files, then restart the service")
            }
        }
    }
}

/// Names the step that an error belongs to.
pub(super) trait Doing<T> {
    /// Wraps the error.
    fn doing(self, what: impl Into<String>) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Fault> {
        self.map_err(|error| Fault::Step { doing: what.into(), source: Box::new(error.into()) })
    }
}
