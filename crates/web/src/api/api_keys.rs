//! API keys of a project. A value is answered once, when the key is made.

use http::StatusCode;
use meshkeep_core::{access::Action, id::ApiKeyId, wire};

use crate::{
    api::Answer,
    error::ApiError,
    extract::{At, Body, In},
    route::Route,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/accounts/projects/{project}/api-keys", list)
            .summary("All keys, without their values")
            .needs(Action::ManageKeys)
            .answers(200, "ApiKeyList"),
        Route::post("/accounts/projects/{project}/api-keys", create)
            .summary("Make a key; its value is shown this once")
            .needs(Action::ManageKeys)
            .takes("ApiKeyCreate")
            .answers(201, "ApiKeyCreated"),
        Route::delete("/accounts/projects/{project}/api-keys/{key}", delete)
            .summary("Delete a key; tokens that it signed end with it")
            .needs(Action::ManageKeys)
            .answers_nothing(),
    ]
}

async fn list(In { control, caller, project }: In) -> Result<Answer<wire::ApiKeyList>, ApiError> {
    Ok(Answer::ok(control.list_api_keys(&caller, project).await?))
}

async fn create(
    In { control, caller, project }: In,
    Body(wanted): Body<wire::ApiKeyCreate>,
) -> Result<Answer<wire::ApiKeyCreated>, ApiError> {
    Ok(Answer::created(control.create_api_key(&caller, project, wanted).await?))
}

async fn delete(In { control, caller, project }: In, At(key): At<ApiKeyId>) -> Result<StatusCode, ApiError> {
    control.delete_api_key(&caller, project, key).await?;
    Ok(StatusCode::NO_CONTENT)
}
