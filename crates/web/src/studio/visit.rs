//! Who is signed in, from the cookie, and which project their page is about.

use axum::{
    extract::{FromRef as _, FromRequestParts, RawPathParams},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Method, header, request::Parts};
use meshkeep_control::{Caller, Control, Origin, Visitor};
use meshkeep_core::{
    Refusal, RefusalKind, SecretText,
    id::{ProjectId, SessionId},
};
use sha2::{Digest as _, Sha256};

use super::frame::{Frame, NAVIGATION, Place, Section, base, see};
use crate::{
    edge::RequestContext,
    error::{ApiError, no_such},
    extract::client_address,
    state::{Settings, WebState},
};

const COOKIE: &str = "meshkeep_studio";

/// Whether a pair of a `Cookie` header, or a `Set-Cookie` header, is about Studio's own.
pub(crate) fn is_cookie(pair: &str) -> bool {
    pair.split('=').next().is_some_and(|name| name.trim() == COOKIE)
}

/// The session's token, as the browser keeps it.
pub(super) fn token(headers: &HeaderMap) -> Option<SecretText> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| SecretText::from(value))
}

/// The header that has the browser keep a token, or forget it.
pub(super) fn set_cookie(token: Option<&str>, is_https: bool) -> String {
    let (value, age) = token.map_or(("", "; Max-Age=0"), |token| (token, ""));
    let secure = if is_https { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/studio; HttpOnly; SameSite=Strict{secure}{age}")
}

/// What a form of this session carries: no other page knows it.
pub(super) fn csrf(token: &SecretText) -> String {
    hex::encode(Sha256::digest(format!("meshkeep studio form {}", token.expose())))
}

/// Where a request came from.
pub(super) fn origin(parts: &Parts, settings: &Settings) -> (Origin, RequestContext) {
    let context = parts.extensions.get::<RequestContext>().cloned().unwrap_or_default();
    let origin = Origin { address: client_address(parts, settings), request_id: context.id().to_owned() };
    (origin, context)
}

/// Somebody who is signed in.
pub(super) struct Signed {
    pub(super) control: Control,
    pub(super) visitor: Visitor,
    pub(super) token: SecretText,
}

impl FromRequestParts<WebState> for Signed {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Response> {
        let control = Control::from_ref(state);
        let Some(token) = token(&parts.headers) else { return Err(to_sign_in(parts)) };
        let (origin, context) = origin(parts, &Settings::from_ref(state));
        let visitor = match control.visitor(token.expose(), origin).await {
            Ok(visitor) => visitor,
            Err(refusal) if refusal.kind == RefusalKind::Unauthenticated => return Err(to_sign_in(parts)),
            Err(refusal) => return Err(ApiError::from(refusal).into_response()),
        };
        context.set_caller(visitor.log_id());
        Ok(Self { control, visitor, token })
    }
}

/// To the page for signing in, and from there back here, if this was a page.
fn to_sign_in(parts: &Parts) -> Response {
    match parts.method {
        Method::GET => see(&format!("/studio/sign-in?to={}", parts.uri.path())),
        _ => see("/studio/sign-in"),
    }
}

impl Signed {
    pub(super) fn frame(&self, title: &str) -> Frame {
        Frame {
            who: Some(self.visitor.name()),
            is_operator: self.visitor.is_operator(),
            csrf: csrf(&self.token),
            ..Frame::outside(title)
        }
    }
}

/// Somebody who is signed in, within the project of the path.
pub(super) struct Visit {
    pub(super) control: Control,
    pub(super) caller: Caller,
    pub(super) project: ProjectId,
    place: Place,
    signed: Signed,
}

impl FromRequestParts<WebState> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Response> {
        let signed = Signed::from_request_parts(parts, state).await?;
        let control = signed.control.clone();
        let unknown = || no_such("project").into_response();
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| unknown())?;
        let text = params.iter().find(|(name, _)| *name == "project").map_or("", |(_, value)| value);
        let project = text.parse().map_err(|_| unknown())?;
        let refused = |refusal| ApiError::from(refusal).into_response();
        let caller = control.visit(&signed.visitor, project).await.map_err(refused)?;
        // Refuses a project that is not the key's.
        let name = control.project(&caller, project).await.map_err(refused)?.name;
        let may_see = NAVIGATION.iter().filter(|(.., action)| caller.may(project, *action).is_ok());
        let place = Place { id: project, name, sections: may_see.map(|(section, ..)| *section).collect() };
        Ok(Self { control, caller, project, place, signed })
    }
}

impl Visit {
    /// The frame of a page of this project.
    pub(super) fn frame(&self, section: Section, title: &str) -> Frame {
        Frame { section, project: Some(self.place.clone()), ..self.signed.frame(title) }
    }

    /// Asks again who is signed in, for an answer that goes on.
    ///
    /// # Errors
    /// When the session, or its key, has ended.
    pub(super) async fn renew(&self) -> Result<(), Refusal> {
        self.control.visitor(self.signed.token.expose(), self.caller.origin.clone()).await.map(drop)
    }

    /// For a form that is not in the frame of a page.
    pub(super) fn csrf(&self) -> String {
        csrf(&self.signed.token)
    }

    /// A path of this project.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}{rest}", base(self.project))
    }

    /// The page of a session.
    pub(super) fn session_path(&self, session: SessionId) -> String {
        self.path(&format!("/sessions/{session}"))
    }
}
