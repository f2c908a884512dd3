//! Refusals that many operations share, in the same words.

use std::error::Error;

use meshkeep_core::{Refusal, RefusalKind};
use meshkeep_store::StoreError;

/// The store's error as a refusal. What an operator must look into is logged with its cause, which a person never sees.
pub(crate) fn refused(error: StoreError) -> Refusal {
    let refusal = error.refusal();
    if matches!(refusal.kind, RefusalKind::Broken | RefusalKind::Unavailable) {
        tracing::error!(code = refusal.code, error = %chain(&error), "the store refused");
    }
    refusal
}

/// 404 for an object of the caller's own project.
pub(crate) fn not_found(noun: &str) -> Refusal {
    Refusal::new(RefusalKind::NotFound, "not_found", format!("there is no such {noun} in this project"))
        .hint("list what there is; ids are written exactly as they were answered")
}

/// 401, in the same words whatever was wrong with the credential.
pub(crate) fn unauthenticated() -> Refusal {
    Refusal::new(RefusalKind::Unauthenticated, "unauthenticated", "the credential is missing or not a valid one")
        .hint("send `Authorization: Bearer` with an API key (ma-…) or a participant token of this server")
}

/// Our bug: the log has the cause.
pub(crate) fn internal(what: &str, error: &(dyn Error + 'static)) -> Refusal {
    tracing::error!(error = %chain(error), "{what}");
    Refusal::new(RefusalKind::Broken, "internal", what).hint("the server's log has the cause")
}

/// An error and its sources in one line, for the log.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
