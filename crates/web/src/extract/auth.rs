//! Who is asking, and whether the path's project is theirs: both before a byte of the body is read.

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use http::{HeaderMap, header, request::Parts};
use meshkeep_control::{Caller, Control, Origin};
use meshkeep_core::{Refusal, RefusalKind, access::Action, id::ProjectId};

use crate::{
    edge::{Peer, RequestContext},
    error::ApiError,
    state::{Settings, WebState},
};

/// A caller with a good credential, and the operations.
pub(crate) struct Authenticated {
    pub(crate) control: Control,
    pub(crate) caller: Caller,
}

impl FromRequestParts<WebState> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let control = Control::from_ref(state);
        let settings = Settings::from_ref(state);
        let context = parts.extensions.get::<RequestContext>().cloned().unwrap_or_default();
        let address = client_address(parts, &settings);
        let origin = Origin { address, request_id: context.id().to_owned() };
        let caller = control.authenticate(bearer(&parts.headers), origin).await?;
        context.set_caller(caller.log_id());
        Ok(Self { control, caller })
    }
}

/// The one bearer credential of the request. Text that is no such header is handed on as an empty, hence bad, one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next()?;
    if all.next().is_some() {
        return Some("");
    }
    let text = value.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => Some(credential.trim()),
        _ => Some(""),
    }
}

/// Where the request came from: the peer, or what the operator's own proxy appended.
pub(crate) fn client_address(parts: &Parts, settings: &Settings) -> String {
    let peer = parts.extensions.get::<Peer>();
    let forwarded = || {
        let last = parts.headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        let address: std::net::IpAddr = last.rsplit(',').next()?.trim().parse().ok()?;
        Some(address.to_string())
    };
    let own = || peer.map_or_else(|| "local".to_owned(), |peer| peer.address.ip().to_string());
    let by_proxy = settings.behind_proxy && peer.is_none_or(|peer| !peer.is_service);
    if by_proxy { forwarded().unwrap_or_else(own) } else { own() }
}

/// A caller within the project of the path.
///
/// What must stay true: a project that is not the caller's answers 403 whether it exists or not, whatever its text is.
pub(crate) struct In {
    pub(crate) control: Control,
    pub(crate) caller: Caller,
    pub(crate) project: ProjectId,
}

impl FromRequestParts<WebState> for In {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let Authenticated { control, caller } = Authenticated::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| other_project())?;
        let text = params.iter().find(|(name, _)| *name == "project").map_or("", |(_, value)| value);
        let project = text.parse().map_err(|_| other_project())?;
        // Everybody of the project may look, so this refuses strangers and nobody else.
        caller.may(project, Action::Look).map_err(|_| other_project())?;
        Ok(Self { control, caller, project })
    }
}

/// One text for all three: no project id, no project, somebody else's project.
fn other_project() -> ApiError {
    Refusal::new(RefusalKind::Forbidden, "other_project", "this credential does not belong to that project")
        .hint("use an API key of the project, or the project id inside the key")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operators_proxy_says_where_a_request_came_from() {
        let ask = |behind_proxy, is_service| {
            let request = http::Request::builder().header("x-forwarded-for", "198.51.100.1, 203.0.113.9");
            let mut parts = request.body(()).expect("a request").into_parts().0;
            parts.extensions.insert(Peer { address: ([10, 213, 0, 2], 4000).into(), is_service });
            client_address(&parts, &Settings { behind_proxy, ..Settings::default() })
        };
        assert_eq!(ask(true, false), "203.0.113.9");
        assert_eq!(ask(false, false), "10.213.0.2");
        assert_eq!(ask(true, true), "10.213.0.2", "a service that says so");
        assert_eq!(ask(false, true), "10.213.0.2");
    }
}
