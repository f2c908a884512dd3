//! What the public contract knows and this server does not offer yet: refused by name, after the credential was checked.

use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};

use crate::{
    error::{ApiError, not_offered},
    extract::{Authenticated, In},
    route::Route,
    state::WebState,
};

macro_rules! later {
    ($($method:ident $path:literal $what:literal;)+) => {
        vec![$(Route::$method($path, |state: State<WebState>, request: Request| refuse(state, request, $what))
            .summary(concat!("Not offered yet: ", $what))
            .needs_credential()
            .later(),)+]
    };
}

pub(super) fn routes() -> Vec<Route> {
    let mut routes = later! {
        post "/accounts/projects" "making projects";
        put "/accounts/projects/{project}/settings" "project settings";
        get "/accounts/projects/{project}/users" "users";
        post "/accounts/projects/{project}/users" "users";
        put "/accounts/projects/{project}/users/{user}" "users";
        delete "/accounts/projects/{project}/users/{user}" "users";
        get "/accounts/projects/{project}/room-grants" "room grants";
        post "/accounts/projects/{project}/room-grants" "room grants";
        get "/accounts/projects/{project}/sessions/{session}/spans" "traces of a session";
        get "/accounts/projects/{project}/sessions/{session}/metrics" "metrics of a session";
        post "/templates/render" "service templates";
    };
    // Signing in and the room's websocket bring no bearer credential.
    for (path, what) in [
        ("/oauth/authorize", "browser sign-in"),
    ] {
        routes.push(Route::get(path, move || async move { not_offered(what) }).summary("Not offered yet").later());
    }
    routes.push(
        Route::post("/oauth/token", || async { not_offered("browser sign-in") }).summary("Not offered yet").later(),
    );
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
