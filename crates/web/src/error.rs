//! How a refusal looks on the wire.
//!
//! A handler's error travels as a response extension; the edge writes the one body shape, with the request's id, in one
//! place ([`crate::edge`]). What must stay true: no body is ever quoted.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use meshkeep_core::{
    Refusal, RefusalKind,
    wire::{ErrorBody, ErrorDetail, status_of},
};

/// A refusal on its way out.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    refusal: Refusal,
}

impl ApiError {
    /// A refusal whose status HTTP knows better than its kind does (404 of a route, 405, 408, 415).
    pub(crate) fn with_status(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, refusal: Refusal::new(meshkeep_core::wire::kind_of(status.as_u16()), code, message) }
    }

    /// The same with what to do next.
    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.refusal = self.refusal.hint(hint);
        self
    }

    /// A page that could not be made.
    pub(crate) fn broken_page() -> Self {
        let refusal = Refusal::new(RefusalKind::Broken, "internal", "the page could not be made");
        Self::from(refusal.hint("the server's log has the cause"))
    }

    /// A stable word for the log.
    pub(crate) fn code(&self) -> &str {
        &self.refusal.code
    }

    /// Whether an operator must look.
    pub(crate) fn is_broken(&self) -> bool {
        self.status == StatusCode::INTERNAL_SERVER_ERROR
    }

    /// What the log may hold of a failure of ours.
    pub(crate) const fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// The body.
    pub(crate) fn body(&self, request_id: &str) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.refusal.code.clone(),
                message: self.refusal.message.clone(),
                hint: self.refusal.hint.clone(),
                request_id: request_id.to_owned(),
            },
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(status_of(refusal.kind)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, refusal }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if self.refusal.kind == RefusalKind::Unauthenticated {
            let challenge = HeaderValue::from_static("Bearer realm=\"meshkeep\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// 404 for an object of the caller's own project.
pub(crate) fn no_such(noun: &str) -> ApiError {
    ApiError::from(Refusal::new(RefusalKind::NotFound, "not_found", format!("there is no such {noun} in this project")))
        .hint("list what there is; ids are written exactly as they were answered")
}

/// 400 for what the public contract knows and this server does not have.
pub(crate) fn not_offered(what: &str) -> ApiError {
    ApiError::from(Refusal::new(RefusalKind::Invalid, "not_offered", format!("{what}: not offered by this server")))
}
