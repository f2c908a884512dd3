//! Signing in, by API key or by the operator's link, and out.

use askama::Template;
use axum::{
    extract::{FromRef as _, FromRequestParts, Path, State},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header, request::Parts};
use meshkeep_control::{Control, Origin};
use meshkeep_core::{Refusal, RefusalKind, SecretText};
use serde::Deserialize;

use super::{
    frame::{Frame, Page, base, see},
    is_page,
    pages::{PageNeeds, PageRoute},
    post::{OutsidePost, Post},
    visit::{Signed, origin, set_cookie},
};
use crate::{
    error::ApiError,
    extract::Query,
    state::{Settings, WebState},
};

pub(super) fn pages() -> Vec<PageRoute> {
    vec![
        PageRoute::at("/studio/sign-in").page(PageNeeds::Nothing, page).form(with_key),
        PageRoute::at("/studio/link").form(with_link),
        PageRoute::at("/studio/link/{token}").page(PageNeeds::Nothing, link),
        PageRoute::at("/studio/sign-out").form(sign_out),
    ]
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    /// Where to go afterwards.
    to: String,
    refusal: Option<Refusal>,
}

#[derive(Template)]
#[template(path = "link.html")]
struct Link {
    frame: Frame,
    token: String,
}

#[derive(Deserialize)]
struct To {
    #[serde(default)]
    to: String,
}

/// Where a request came from.
struct From(Origin);

impl FromRequestParts<WebState> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Self::Rejection> {
        Ok(Self(origin(parts, &Settings::from_ref(state)).0))
    }
}

async fn page(Query(To { to }): Query<To>) -> Page<SignIn> {
    Page(SignIn { frame: Frame::outside("Sign in"), to: own_page(&to), refusal: None })
}

async fn with_key(
    State(control): State<Control>,
    State(settings): State<Settings>,
    From(origin): From,
    OutsidePost(fields): OutsidePost,
) -> Result<Response, ApiError> {
    let to = own_page(fields.one("to").unwrap_or_default());
    match control.sign_in_with_key(fields.one("key").unwrap_or_default().trim(), origin).await {
        Ok((token, project)) => {
            // A page of another project would only refuse.
            let own = base(project);
            let to = if to.starts_with(&own) { to } else { "/studio".to_owned() };
            Ok(signed_in(&token, &to, &settings))
        }
        Err(refusal) if refusal.kind == RefusalKind::Unauthenticated => {
            let refusal = Refusal::new(refusal.kind, "bad_key", "that is no API key of this server")
                .hint("it begins with ma- and was shown once, when it was made");
            let page = Page(SignIn { frame: Frame::outside("Sign in"), to, refusal: Some(refusal) });
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Only a page with a button: what follows links by itself (a preview, a scanner) does not use it up.
async fn link(Path(token): Path<String>) -> Page<Link> {
    Page(Link { frame: Frame::outside("Sign in as the operator"), token })
}

async fn with_link(
    State(control): State<Control>,
    State(settings): State<Settings>,
    From(origin): From,
    OutsidePost(fields): OutsidePost,
) -> Result<Response, ApiError> {
    match control.sign_in_with_link(fields.one("token").unwrap_or_default(), origin).await {
        Ok(token) => Ok(signed_in(&token, "/studio", &settings)),
        Err(refusal) if refusal.kind == RefusalKind::Unauthenticated => {
            let frame = Frame::outside("Sign in");
            let page = Page(SignIn { frame, to: String::new(), refusal: Some(refusal) });
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

async fn sign_out(
    State(settings): State<Settings>,
    Signed { control, token, .. }: Signed,
    Post(_): Post,
) -> Result<Response, ApiError> {
    control.sign_out(token.expose()).await?;
    Ok(([(header::SET_COOKIE, set_cookie(None, settings.is_https))], see("/studio/sign-in")).into_response())
}

fn signed_in(token: &SecretText, to: &str, settings: &Settings) -> Response {
    ([(header::SET_COOKIE, set_cookie(Some(token.expose()), settings.is_https))], see(to)).into_response()
}

/// The path, if it is a page of ours; nothing else is ever redirected to.
fn own_page(to: &str) -> String {
    let is_plain = to.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'.' | b'_'));
    if is_plain && is_page(to) && !to.contains("//") && !to.contains("..") { to.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_pages_are_gone_to() {
        assert_eq!(own_page("/studio/projects/x/secrets"), "/studio/projects/x/secrets");
        for other in [
            "https://evil.example/",
            "//evil.example/studio/",
            "/\\evil.example",
            "/studio/../..//evil.example",
            "/studio//evil.example",
            "/studiox",
            "/studio/\r\nSet-Cookie: a=b",
            "javascript:alert(1)",
            "/accounts/projects",
        ] {
            assert_eq!(own_page(other), "", "{other}");
        }
    }
}
