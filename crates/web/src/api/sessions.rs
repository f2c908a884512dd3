//! Sessions: launch, look, restart one service, terminate.

use http::StatusCode;
use meshkeep_core::{
    access::Action,
    id::{ServiceId, SessionId},
    name::RoomName,
    wire,
};

use serde_json::{Value, json};

use crate::{
    api::Answer,
    error::ApiError,
    extract::{At, In},
    route::Route,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/accounts/projects/{project}/rooms/{room}/sessions", launch)
            .summary("Launch the room's session; 200 with the running one when there is one")
            .needs(Action::RunSessions)
            .answers(201, "Session"),
        Route::get("/accounts/projects/{project}/sessions", list)
            .summary("Recent sessions, newest first")
            .needs(Action::Look)
            .answers(200, "SessionList"),
        Route::get("/accounts/projects/{project}/sessions/active", list_active)
            .summary("Sessions that run")
            .needs(Action::Look)
            .answers(200, "SessionList"),
        Route::get("/accounts/projects/{project}/sessions/{session}", read)
            .summary("One session with its workloads")
            .needs(Action::Look)
            .answers(200, "Session"),
        Route::get("/accounts/projects/{project}/sessions/{session}/events", events)
            .summary("What happened, oldest first")
            .needs(Action::Look)
            .answers(200, "EventList"),
        Route::get("/accounts/projects/{project}/sessions/{session}/spans", spans)
            .summary("Traces of a session: none are kept")
            .needs(Action::Look)
            .answers(200, "application/json"),
        Route::get("/accounts/projects/{project}/sessions/{session}/metrics", metrics)
            .summary("Metrics of a session: none are kept")
            .needs(Action::Look)
            .answers(200, "application/json"),
        Route::post("/accounts/projects/{project}/sessions/{session}/terminate", terminate)
            .summary("End a session and its services")
            .needs(Action::RunSessions)
            .answers_nothing(),
        Route::post("/accounts/projects/{project}/sessions/terminate", terminate_all)
            .summary("End all sessions of the project")
            .needs(Action::RunSessions)
            .answers_nothing(),
        Route::post("/accounts/projects/{project}/sessions/{session}/services/{service}/restart", restart)
            .summary("Restart one service with the newest versions of its secrets")
            .needs(Action::RunSessions)
            .answers_nothing(),
    ]
}

async fn launch(
    In { control, caller, project }: In,
    At(room): At<RoomName>,
) -> Result<Answer<wire::Session>, ApiError> {
    let (session, created) = control.launch_session(&caller, project, room).await?;
    Ok(Answer::created_if(created, session))
}

async fn list(In { control, caller, project }: In) -> Result<Answer<wire::SessionList>, ApiError> {
    Ok(Answer::ok(control.list_sessions(&caller, project, false).await?))
}

async fn list_active(In { control, caller, project }: In) -> Result<Answer<wire::SessionList>, ApiError> {
    Ok(Answer::ok(control.list_sessions(&caller, project, true).await?))
}

async fn read(
    In { control, caller, project }: In,
    At(session): At<SessionId>,
) -> Result<Answer<wire::Session>, ApiError> {
    Ok(Answer::ok(control.session(&caller, project, session).await?))
}

async fn events(
    In { control, caller, project }: In,
    At(session): At<SessionId>,
) -> Result<Answer<wire::EventList>, ApiError> {
    Ok(Answer::ok(control.session_events(&caller, project, session).await?))
}

async fn spans(In { control, caller, project }: In, At(session): At<SessionId>) -> Result<Answer<Value>, ApiError> {
    control.session(&caller, project, session).await?;
    Ok(Answer::ok(json!({"spans": []})))
}

async fn metrics(In { control, caller, project }: In, At(session): At<SessionId>) -> Result<Answer<Value>, ApiError> {
    control.session(&caller, project, session).await?;
    Ok(Answer::ok(json!({"metrics": []})))
}

async fn terminate(In { control, caller, project }: In, At(session): At<SessionId>) -> Result<StatusCode, ApiError> {
    control.terminate_session(&caller, project, session).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn terminate_all(In { control, caller, project }: In) -> Result<StatusCode, ApiError> {
    control.terminate_all(&caller, project).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restart(
    In { control, caller, project }: In,
    At(session): At<SessionId>,
    At(service): At<ServiceId>,
) -> Result<StatusCode, ApiError> {
    control.restart_service(&caller, project, session, service).await?;
    Ok(StatusCode::NO_CONTENT)
}
