//! Request bodies: bounded in bytes and time, wiped after reading, of a stated content type.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use meshkeep_core::{Refusal, RefusalKind};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::{error::ApiError, extract::fit, state::WebState};

/// Bytes of a request body at most.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// How long a client may take to send it.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The bytes of a JSON body that was not read yet, for handlers that decide by what is in it.
pub(crate) struct Document(Zeroizing<Vec<u8>>);

impl Document {
    /// Reads the body as `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        fit::json(&self.0).map_err(ApiError::from)
    }
}

impl FromRequest<WebState> for Document {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &WebState) -> Result<Self, ApiError> {
        require_type(request.headers(), &["application/json"])?;
        collect(request).await.map(Self)
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<WebState> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, ApiError> {
        Document::from_request(request, state).await?.read().map(Self)
    }
}

/// A YAML body's text.
pub(crate) struct YamlText(Zeroizing<String>);

impl YamlText {
    /// Reads the text as `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        fit::yaml(&self.0).map_err(ApiError::from)
    }
}

impl FromRequest<WebState> for YamlText {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &WebState) -> Result<Self, ApiError> {
        require_type(request.headers(), &["text/yaml", "application/yaml", "application/x-yaml", "text/x-yaml"])?;
        let mut bytes = collect(request).await?;
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(Self(Zeroizing::new(text))),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(Refusal::invalid("body", "is not UTF-8 text").into())
            }
        }
    }
}

fn require_type(headers: &HeaderMap, allowed: &[&str]) -> Result<(), ApiError> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    if allowed.iter().any(|allowed| essence.eq_ignore_ascii_case(allowed)) {
        return Ok(());
    }
    let message = format!("the body must be {}", allowed[0]);
    Err(ApiError::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
        .hint("state what the body is in the Content-Type header"))
}

async fn collect(request: Request) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    // All of it at once, so that growing leaves no copies behind that are not wiped.
    let bytes = Zeroizing::new(Vec::with_capacity(length.unwrap_or(MAX_BODY)));
    match tokio::time::timeout(BODY_TIME, fill(request.into_body(), bytes)).await {
        Ok(done) => done,
        Err(_) => Err(ApiError::with_status(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            format!("the body did not arrive within {} seconds", BODY_TIME.as_secs()),
        )),
    }
}

async fn fill(mut body: axum::body::Body, mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::from(Refusal::invalid("body", "did not arrive whole")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn too_large() -> ApiError {
    Refusal::new(RefusalKind::TooLarge, "too_large", format!("the body is larger than {MAX_BODY} bytes")).into()
}
