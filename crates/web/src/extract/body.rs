//! Request bodies: bounded in bytes and time, wiped after reading, of a stated content type.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use meshkeep_core::{Refusal, RefusalKind};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::{error::ApiError, extract::fit};

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

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        require_type(request.headers(), &["application/json"])?;
        collect(request).await.map(Self)
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
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

impl<S: Send + Sync> FromRequest<S> for YamlText {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
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

/// The bytes of a form of a browser.
pub(crate) async fn form_bytes(request: Request) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    require_type(request.headers(), &["application/x-www-form-urlencoded"])?;
    collect(request).await
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
    within(BODY_TIME, fill(request.into_body(), bytes)).await
}

async fn within<T>(time: Duration, arrival: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let late = |_| {
        let message = format!("the body did not arrive within {} seconds", time.as_secs());
        Err(ApiError::with_status(StatusCode::REQUEST_TIMEOUT, "body_timeout", message))
    };
    tokio::time::timeout(time, arrival).await.unwrap_or_else(late)
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

#[cfg(test)]
mod tests {
    use axum::body::Body as Bytes;
    use bytes::Bytes as Chunk;
    use futures_util::stream;

    use super::*;

    async fn read(kind: &str, body: Bytes) -> Result<serde_json::Value, String> {
        let request = Request::builder().header(header::CONTENT_TYPE, kind).body(body).unwrap();
        let read = Body::<serde_json::Value>::from_request(request, &()).await;
        read.map(|Body(value)| value).map_err(|error| error.code().to_owned())
    }

    #[tokio::test]
    async fn the_type_must_be_stated() {
        assert!(read("application/json", "{}".into()).await.is_ok());
        assert!(read("Application/JSON; charset=utf-8", "{}".into()).await.is_ok());
        for other in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert_eq!(read(other, "{}".into()).await.unwrap_err(), "unsupported_media_type", "{other}");
        }
    }

    #[tokio::test]
    async fn a_mebibyte_fits_and_a_byte_more_does_not() {
        let of = |size: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
        assert!(read("application/json", of(MAX_BODY).into()).await.is_ok());
        assert_eq!(read("application/json", of(MAX_BODY + 1).into()).await.unwrap_err(), "too_large");
        // Without a length, in pieces.
        let pieces = (0..17).map(|_| Ok::<_, std::io::Error>(Chunk::from(vec![b' '; 64 * 1024])));
        let endless = Bytes::from_stream(stream::iter(pieces));
        assert_eq!(read("application/json", endless).await.unwrap_err(), "too_large");
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_named() {
        let never = within(Duration::from_millis(50), std::future::pending::<Result<(), ApiError>>()).await;
        assert_eq!(never.unwrap_err().code(), "body_timeout");
        let broken = stream::iter([Ok(Chunk::from("{")), Err(std::io::Error::other("gone"))]);
        assert_eq!(read("application/json", Bytes::from_stream(broken)).await.unwrap_err(), "invalid");
    }
}
