//! What the public contract knows and this server does not offer: refused by name, whatever the method and whatever
//! is below it, after the credential was checked.

use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};

use crate::{
    error::{ApiError, not_offered},
    extract::{Authenticated, In},
    route::Route,
    state::WebState,
};

/// A path, what is below it, and what people call it.
macro_rules! later {
    ($($path:literal $what:literal;)+) => { [$(($path, concat!($path, "/{*rest}"), $what),)+] };
}

const NOUNS: [(&str, &str, &str); 30] = later! {
    "/accounts/profiles" "user profiles";
    "/accounts/projects/{project}/settings" "project settings";
    "/accounts/projects/{project}/users" "users";
    "/accounts/projects/{project}/room-grants" "room grants";
    "/accounts/projects/{project}/shares" "shares";
    "/accounts/projects/{project}/balance" "billing";
    "/accounts/projects/{project}/transactions" "billing";
    "/accounts/projects/{project}/recharge" "billing";
    "/accounts/projects/{project}/subscription" "billing";
    "/accounts/projects/{project}/credits" "billing";
    "/accounts/projects/{project}/usage" "billing";
    "/accounts/projects/{project}/webhooks" "webhooks";
    "/accounts/projects/{project}/mailboxes" "mailboxes";
    "/accounts/projects/{project}/routes" "routes";
    "/accounts/projects/{project}/scheduled-tasks" "scheduled tasks";
    "/accounts/projects/{project}/oauth" "OAuth clients";
    "/accounts/projects/{project}/external-oauth" "OAuth clients";
    "/accounts/projects/{project}/feeds" "feeds";
    "/accounts/projects/{project}/llm-loggers" "LLM loggers";
    "/accounts/projects/{project}/repositories" "repositories";
    "/accounts/projects/{project}/rooms/{room}/mailboxes" "mailboxes";
    "/accounts/projects/{project}/rooms/{room}/routes" "routes";
    "/accounts/projects/{project}/rooms/{room}/external-oauth" "OAuth clients";
    "/accounts/projects/{project}/rooms/{room}/feeds" "feeds";
    "/accounts/projects/{project}/rooms/{room}/scheduled-tasks" "scheduled tasks";
    "/accounts/projects/{project}/rooms/{room}/secrets" "room secrets by REST";
    "/projects/{project}/storage" "storage";
    "/shares" "shares";
    "/pricing" "billing";
    "/mcp" "discovery of MCP servers";
};

pub(super) fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for (noun, below, what) in NOUNS {
        for path in [noun, below] {
            let handler = move |state: State<WebState>, request: Request| refuse(state, request, what);
            routes.push(Route::any(path, handler).summary("Not offered").needs_credential().later());
        }
    }
    let handler = |state: State<WebState>, request: Request| refuse(state, request, "making projects with a key");
    routes.push(Route::post("/accounts/projects", handler).summary("Not offered").needs_credential().later());
    // These are asked without a credential.
    for (path, what) in [
        ("/oauth/authorize", "browser sign-in"),
        ("/oauth/token", "browser sign-in"),
        ("/config", "the description of the deployment"),
        ("/api/participant-token/validate", "checking tokens for others"),
    ] {
        routes.push(Route::any(path, move || async move { not_offered(what) }).summary("Not offered").later());
    }
    routes
}

/// A stranger learns nothing from it: 401 and 403 come first, as everywhere.
async fn refuse(State(state): State<WebState>, request: Request, what: &'static str) -> Result<(), ApiError> {
    let (mut parts, _) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &state).await;
    if params.is_ok_and(|params| params.iter().any(|(name, _)| name == "project")) {
        In::from_request_parts(&mut parts, &state).await?;
    } else {
        Authenticated::from_request_parts(&mut parts, &state).await?;
    }
    Err(not_offered(what))
}
