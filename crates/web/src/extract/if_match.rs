//! `If-Match`: which version an edit began from.

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use meshkeep_core::Refusal;

use crate::error::ApiError;

/// The version of `If-Match: "3"`; none for `*` and when the header is absent.
pub(crate) struct IfMatch(pub(crate) Option<u32>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut all = parts.headers.get_all(header::IF_MATCH).iter();
        let Some(value) = all.next() else { return Ok(Self(None)) };
        let tag = value.to_str().ok().filter(|_| all.next().is_none()).map(str::trim);
        match tag {
            Some("*") => Ok(Self(None)),
            Some(tag) => version(tag).map(|version| Self(Some(version))).ok_or_else(bad),
            None => Err(bad()),
        }
    }
}

fn version(tag: &str) -> Option<u32> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| plain)
}

fn bad() -> ApiError {
    Refusal::invalid("If-Match", "is not one version such as \"3\"").hint("send the ETag of the read, as it was").into()
}
