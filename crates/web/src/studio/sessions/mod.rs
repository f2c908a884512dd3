//! Sessions: the list, launching one, watching one, a service's log.

mod list;
mod live;
mod log;
mod show;

use axum::{
    Router,
    routing::{get, post},
};

use crate::state::WebState;

pub(super) fn router() -> Router<WebState> {
    Router::new()
        .route("/studio/projects/{project}/sessions", get(list::show).post(list::launch))
        .route("/studio/projects/{project}/sessions/{session}", get(show::show))
        .route("/studio/projects/{project}/sessions/{session}/live", get(live::follow))
        .route("/studio/projects/{project}/sessions/{session}/stop", post(show::stop))
        .route("/studio/projects/{project}/sessions/{session}/services/{service}/restart", post(show::restart))
        .route("/studio/projects/{project}/sessions/{session}/services/{service}/log", get(log::show))
        .route("/studio/projects/{project}/sessions/{session}/services/{service}/log.txt", get(log::text))
}
