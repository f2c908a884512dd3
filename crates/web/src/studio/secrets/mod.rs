//! Secret keys and image pull secrets: lists, editors, history, deletion.

mod delete;
mod edit;
mod form;
mod history;
mod list;
mod pull;
mod pull_form;

use axum::{
    Router,
    routing::{get, post},
};

use crate::state::WebState;

pub(super) fn router() -> Router<WebState> {
    Router::new()
        .route("/studio/projects/{project}/secrets", get(list::keys))
        .route("/studio/projects/{project}/secrets/new", get(edit::new).post(edit::create))
        .route("/studio/projects/{project}/secrets/{secret}", get(edit::open).post(edit::save))
        .route("/studio/projects/{project}/secrets/{secret}/history", get(history::show))
        .route("/studio/projects/{project}/secrets/{secret}/roll-back", post(history::roll_back))
        .route("/studio/projects/{project}/secrets/{secret}/delete", get(delete::ask).post(delete::delete))
        .route("/studio/projects/{project}/pull-secrets", get(list::pull))
        .route("/studio/projects/{project}/pull-secrets/new", get(pull::new).post(pull::create))
        .route("/studio/projects/{project}/pull-secrets/{secret}", get(pull::open).post(pull::save))
}
