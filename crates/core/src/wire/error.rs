//! The body of an error, and the one mapping between kinds of refusals and HTTP statuses.

use serde::{Deserialize, Serialize};

use crate::RefusalKind;

/// The body of every error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What was refused, why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A stable word for programs.
    pub code: String,
    /// What and why.
    pub message: String,
    /// What to do next; may be empty.
    #[serde(default)]
    pub hint: String,
    /// Under which the server's log knows this request.
    #[serde(default)]
    pub request_id: String,
}

/// HTTP status of a refusal, the one mapping for server and client.
#[must_use]
pub const fn status_of(kind: RefusalKind) -> u16 {
    match kind {
        RefusalKind::Invalid => 400,
        RefusalKind::Unauthenticated => 401,
        RefusalKind::Forbidden => 403,
        RefusalKind::NotFound => 404,
        RefusalKind::Conflict => 409,
        RefusalKind::Stale => 412,
        RefusalKind::TooLarge => 413,
        RefusalKind::Broken => 500,
        RefusalKind::Unavailable => 503,
    }
}

/// The reverse of [`status_of`], for clients; unknown client errors are `Invalid`, unknown others `Broken`.
#[must_use]
pub const fn kind_of(status: u16) -> RefusalKind {
    match status {
        401 => RefusalKind::Unauthenticated,
        403 => RefusalKind::Forbidden,
        404 => RefusalKind::NotFound,
        409 => RefusalKind::Conflict,
        412 => RefusalKind::Stale,
        413 => RefusalKind::TooLarge,
        429 | 503 => RefusalKind::Unavailable,
        400..=499 => RefusalKind::Invalid,
        _ => RefusalKind::Broken,
    }
}
