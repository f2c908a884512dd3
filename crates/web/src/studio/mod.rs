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
mod pages;
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

pub(crate) use assets::FOREVER;
pub(crate) use frame::{CSP, error_page};
use pages::PageRoute;
pub use pages::{PageInfo, PageNeeds};
pub(crate) use visit::is_cookie;

use crate::state::WebState;

/// All pages.
pub(crate) fn router() -> Router<WebState> {
    let mut router = Router::new().route("/", get(|| async { Redirect::to("/studio") })).merge(assets::router());
    for page in all() {
        router = router.route(page.info.path, page.handler);
    }
    router
}

/// Every page, for tests that must miss none.
#[must_use]
pub fn pages() -> Vec<PageInfo> {
    all().into_iter().map(|page| page.info).collect()
}

fn all() -> Vec<PageRoute> {
    [
        sign_in::pages(),
        projects::pages(),
        secrets::pages(),
        services::pages(),
        sessions::pages(),
        rooms::pages(),
        api_keys::pages(),
        activity::pages(),
        settings::pages(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether a path is one of Studio's, so that what goes wrong there is told as a page.
pub(crate) fn is_page(path: &str) -> bool {
    path == "/studio" || path.starts_with("/studio/")
}
