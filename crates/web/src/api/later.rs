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
        post "/accounts/projects" "making projects with a key";
        put "/accounts/projects/{project}/settings" "project settings";
        get "/accounts/projects/{project}/users" "users";
        post "/accounts/projects/{project}/users" "users";
        put "/accounts/projects/{project}/users/{user}" "users";
        delete "/accounts/projects/{project}/users/{user}" "users";
        get "/accounts/profiles/{user}" "user profiles";
        put "/accounts/profiles/{user}" "user profiles";
        get "/accounts/projects/{project}/room-grants" "room grants";
        post "/accounts/projects/{project}/room-grants" "room grants";
        get "/accounts/projects/{project}/room-grants/{grant}" "room grants";
        get "/accounts/projects/{project}/room-grants/{grant}/{of}" "room grants";
        put "/accounts/projects/{project}/room-grants/{grant}" "room grants";
        delete "/accounts/projects/{project}/room-grants/{grant}" "room grants";
        delete "/accounts/projects/{project}/room-grants/{grant}/{of}" "room grants";
        get "/accounts/projects/{project}/shares" "shares";
        post "/accounts/projects/{project}/shares" "shares";
        put "/accounts/projects/{project}/shares/{share}" "shares";
        delete "/accounts/projects/{project}/shares/{share}" "shares";
        post "/shares/{share}/connect" "shares";
        get "/pricing" "billing";
        get "/accounts/projects/{project}/balance" "billing";
        get "/accounts/projects/{project}/transactions" "billing";
        post "/accounts/projects/{project}/recharge" "billing";
        get "/accounts/projects/{project}/subscription" "billing";
        post "/accounts/projects/{project}/subscription" "billing";
        post "/accounts/projects/{project}/credits" "billing";
        get "/accounts/projects/{project}/usage" "billing";
        get "/accounts/projects/{project}/webhooks" "webhooks";
        post "/accounts/projects/{project}/webhooks" "webhooks";
        put "/accounts/projects/{project}/webhooks/{webhook}" "webhooks";
        delete "/accounts/projects/{project}/webhooks/{webhook}" "webhooks";
        get "/accounts/projects/{project}/mailboxes" "mailboxes";
        post "/accounts/projects/{project}/mailboxes" "mailboxes";
        get "/accounts/projects/{project}/mailboxes/{mailbox}" "mailboxes";
        put "/accounts/projects/{project}/mailboxes/{mailbox}" "mailboxes";
        delete "/accounts/projects/{project}/mailboxes/{mailbox}" "mailboxes";
        get "/accounts/projects/{project}/rooms/{room}/mailboxes" "mailboxes";
        get "/accounts/projects/{project}/routes" "routes";
        post "/accounts/projects/{project}/routes" "routes";
        get "/accounts/projects/{project}/routes/{domain}" "routes";
        put "/accounts/projects/{project}/routes/{domain}" "routes";
        delete "/accounts/projects/{project}/routes/{domain}" "routes";
        get "/accounts/projects/{project}/rooms/{room}/routes" "routes";
        get "/accounts/projects/{project}/scheduled-tasks" "scheduled tasks";
        post "/accounts/projects/{project}/scheduled-tasks" "scheduled tasks";
        put "/accounts/projects/{project}/scheduled-tasks/{task}" "scheduled tasks";
        delete "/accounts/projects/{project}/scheduled-tasks/{task}" "scheduled tasks";
        get "/accounts/projects/{project}/oauth/clients" "OAuth clients";
        post "/accounts/projects/{project}/oauth/clients" "OAuth clients";
        get "/accounts/projects/{project}/oauth/clients/{client}" "OAuth clients";
        put "/accounts/projects/{project}/oauth/clients/{client}" "OAuth clients";
        delete "/accounts/projects/{project}/oauth/clients/{client}" "OAuth clients";
        get "/accounts/projects/{project}/external-oauth" "OAuth clients";
        post "/accounts/projects/{project}/external-oauth" "OAuth clients";
        get "/accounts/projects/{project}/rooms/{room}/secrets" "room secrets by REST";
        post "/accounts/projects/{project}/rooms/{room}/secrets" "room secrets by REST";
        post "/projects/{project}/storage/upload" "storage";
        get "/projects/{project}/storage/download" "storage";
    };
    // Signing in brings no bearer credential.
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
