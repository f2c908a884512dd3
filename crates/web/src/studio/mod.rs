//! Studio: the web page where people do all of it, over the same operations as the API.
//!
//! Owns: pages and their forms, the cookie of a browser that is signed in, stylesheet and modules.
//! Must never contain: decisions about who may do what, a saved value. Every page works without JavaScript; modules add
//! what moves. One page, one typed struct, one file; `templates/` has the file of the same name.

mod activity;
mod api_keys;
mod assets;
mod fields;
mod frame;
mod post;
mod projects;
mod rooms;
mod secrets;
mod services;
mod sessions;
mod settings;
mod sign_in;
mod text;
mod visit;

use axum::{Router, response::Redirect, routing::get};

pub(crate) use frame::{CSP, error_page};

use crate::state::WebState;

/// All pages.
pub(crate) fn router() -> Router<WebState> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/studio") }))
        .route("/studio", get(projects::home))
        .merge(assets::router())
        .merge(sign_in::router())
        .merge(projects::router())
        .merge(secrets::router())
        .merge(services::router())
        .merge(sessions::router())
        .merge(rooms::router())
        .merge(api_keys::router())
        .merge(activity::router())
        .merge(settings::router())
}

/// Whether a path is one of Studio's, so that what goes wrong there is told as a page.
pub(crate) fn is_page(path: &str) -> bool {
    path == "/studio" || path.starts_with("/studio/")
}
