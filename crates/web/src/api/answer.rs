//! A JSON answer with its status and, for versioned things, its ETag.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use meshkeep_core::{Refusal, RefusalKind};
use serde::Serialize;

use crate::error::ApiError;

/// Success with a body.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    status: StatusCode,
    version: Option<u32>,
    body: T,
}

impl<T> Answer<T> {
    /// 200.
    pub(crate) const fn ok(body: T) -> Self {
        Self { status: StatusCode::OK, version: None, body }
    }

    /// 201.
    pub(crate) const fn created(body: T) -> Self {
        Self { status: StatusCode::CREATED, version: None, body }
    }

    /// 202: it was begun and goes on by itself.
    pub(crate) const fn accepted(body: T) -> Self {
        Self { status: StatusCode::ACCEPTED, version: None, body }
    }

    /// 201 when something was made, 200 when it was there.
    pub(crate) const fn created_if(created: bool, body: T) -> Self {
        if created { Self::created(body) } else { Self::ok(body) }
    }

    /// With `ETag: "version"`.
    pub(crate) const fn version(mut self, version: Option<u32>) -> Self {
        self.version = version;
        self
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let Ok(body) = serde_json::to_vec(&self.body) else {
            return ApiError::from(Refusal::new(RefusalKind::Broken, "internal", "the answer could not be written"))
                .into_response();
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(tag) = self.version.and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok()) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}
