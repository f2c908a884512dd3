//! What a form sends: its fields, if it is one of our own pages that sends them.
//!
//! What must stay true: a form that another site made does nothing. The browser says where a request comes from
//! (`Sec-Fetch-Site`, `Origin`), its cookie stays at home (`SameSite=Strict`), and the form carries what only our page
//! knows.

use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, header};
use meshkeep_core::{Refusal, RefusalKind};
use subtle::ConstantTimeEq as _;

use super::{
    fields::Fields,
    visit::{csrf, token},
};
use crate::{error::ApiError, extract::form_bytes};

/// The fields of a form, sent by who is signed in.
pub(super) struct Post(pub(super) Fields);

/// The fields of a form before anybody is signed in.
pub(super) struct OutsidePost(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for OutsidePost {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        if !is_from_here(request.headers()) {
            return Err(foreign());
        }
        let bytes = form_bytes(request).await.map_err(ApiError::into_response)?;
        Ok(Self(Fields::parse(&bytes)))
    }
}

impl<S: Send + Sync> FromRequest<S> for Post {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let wanted = token(request.headers()).map(|token| csrf(&token)).ok_or_else(foreign)?;
        let OutsidePost(fields) = OutsidePost::from_request(request, state).await?;
        let sent = fields.one("csrf").unwrap_or_default();
        if bool::from(sent.as_bytes().ct_eq(wanted.as_bytes())) { Ok(Self(fields)) } else { Err(foreign()) }
    }
}

/// Old browsers say nothing; those are held by the cookie and the token.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return false;
    }
    match (text(header::ORIGIN.as_str()), text(header::HOST.as_str())) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

fn foreign() -> Response {
    let refusal =
        Refusal::new(RefusalKind::Forbidden, "foreign_form", "this form did not come from your own open page");
    ApiError::from(refusal.hint("open the page again and send the form from there")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sites_are_known_by_what_the_browser_says() {
        let from = |headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
            is_from_here(&headers.collect())
        };
        let host = ("host", "keep.example:4680");
        assert!(from(&[host]));
        assert!(from(&[host, ("origin", "https://keep.example:4680"), ("sec-fetch-site", "same-origin")]));
        for site in ["cross-site", "same-site", "none"] {
            assert!(!from(&[host, ("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["https://evil.example", "null", "https://keep.example", "https://keep.example:4680.evil.example"]
        {
            assert!(!from(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(!from(&[("origin", "https://keep.example:4680")]));
    }
}
