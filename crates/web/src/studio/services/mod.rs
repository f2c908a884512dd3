//! Services: the list, the editor with its two tabs, deletion, restarts.

mod edit;
mod editor;
mod form;
mod list;
mod manage;

use axum::{
    Router,
    routing::{get, post},
};

use crate::state::WebState;

pub(super) fn router() -> Router<WebState> {
    let mut router = Router::new().route("/studio/projects/{project}/services", get(list::show));
    // The same pages for services of the project and of one room.
    for base in ["/studio/projects/{project}", "/studio/projects/{project}/rooms/{room}"] {
        router = router
            .route(&format!("{base}/services/new"), get(edit::new).post(edit::create))
            .route(&format!("{base}/services/{{service}}"), get(edit::open).post(edit::save))
            .route(&format!("{base}/services/{{service}}/delete"), get(manage::ask).post(manage::delete))
            .route(&format!("{base}/services/{{service}}/restart"), post(manage::restart));
    }
    router
}
