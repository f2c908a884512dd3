//! Projects, as far as a key sees them: its own.

use meshkeep_core::{access::Action, wire};

use crate::{
    api::Answer,
    error::ApiError,
    extract::{Authenticated, In},
    route::Route,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/accounts/projects", list)
            .summary("The projects of the credential")
            .needs_credential()
            .answers(200, "ProjectList"),
        Route::get("/accounts/projects/{project}", read)
            .summary("One project")
            .needs(Action::Look)
            .answers(200, "Project"),
        Route::get("/accounts/projects/{project}/role", role)
            .summary("The role of the credential")
            .needs(Action::Look)
            .answers(200, "RoleAnswer"),
        Route::get("/accounts/projects/{project}/status", status)
            .summary("Whether the project is enabled")
            .needs(Action::Look)
            .answers(200, "ProjectStatus"),
    ]
}

async fn list(Authenticated { control, caller }: Authenticated) -> Result<Answer<wire::ProjectList>, ApiError> {
    Ok(Answer::ok(control.projects(&caller).await?))
}

async fn read(In { control, caller, project }: In) -> Result<Answer<wire::Project>, ApiError> {
    Ok(Answer::ok(control.project(&caller, project).await?))
}

async fn role(In { control, caller, project }: In) -> Result<Answer<wire::RoleAnswer>, ApiError> {
    Ok(Answer::ok(control.role(&caller, project).await?))
}

/// A project that can be seen is enabled: there is no way yet to switch one off.
async fn status(In { control, caller, project }: In) -> Result<Answer<serde_json::Value>, ApiError> {
    control.project(&caller, project).await?;
    Ok(Answer::ok(serde_json::json!({"enabled": true})))
}
