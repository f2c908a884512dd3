//! A service's log as text, one line each; with `follow` until the client leaves or the server stops.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::header;
use meshkeep_core::{
    Refusal,
    access::Action,
    id::{ServiceId, SessionId},
};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::{At, In, Query},
    route::Route,
    state::Settings,
};

/// Lines of `tail` at most; a log has a size cap anyway.
const MAX_TAIL: usize = 1_000_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/accounts/projects/{project}/sessions/{session}/services/{service}/logs", logs)
            .summary("A service's log; `tail=N` for the last lines, `follow=true` to stay")
            .needs(Action::ReadLogs)
            .query(&["tail", "follow"])
            .answers(200, "text/plain"),
    ]
}

#[derive(Deserialize)]
struct LogQuery {
    tail: Option<usize>,
    #[serde(default)]
    follow: bool,
}

async fn logs(
    State(settings): State<Settings>,
    In { control, caller, project }: In,
    At(session): At<SessionId>,
    At(service): At<ServiceId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, ApiError> {
    if query.tail.is_some_and(|tail| tail > MAX_TAIL) {
        return Err(Refusal::invalid("tail", format!("must be at most {MAX_TAIL}")).into());
    }
    let lines = control.service_logs(&caller, project, session, service, query.tail, query.follow).await?;
    let lines = lines
        .inspect_err(|refusal| tracing::warn!(code = refusal.code, "a log ended early"))
        .take_until(settings.stopping.cancelled_owned());
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(lines)).into_response())
}
