//! Secrets: write-only, but for an admin's audited `?reveal=true`.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_core::{access::Action, id::SecretId, wire};
use serde::Deserialize;

use crate::{
    api::Answer,
    error::ApiError,
    extract::{At, Body, IfMatch, In, Query},
    route::Route,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/accounts/projects/{project}/secrets", list)
            .summary("All secrets: entry names, never values")
            .needs(Action::ReadSecrets)
            .query(&["detail"])
            .answers(200, "SecretList"),
        Route::post("/accounts/projects/{project}/secrets", create)
            .summary("Make a secret")
            .needs(Action::ManageSecrets)
            .takes("SecretWrite")
            .answers(201, "SecretSaved"),
        Route::get("/accounts/projects/{project}/secrets/{secret}", read)
            .summary("One secret; `reveal=true` answers its values to an admin and is audited")
            .needs(Action::ReadSecrets)
            .query(&["reveal"])
            .answers(200, "SecretItem"),
        Route::put("/accounts/projects/{project}/secrets/{secret}", save)
            .summary("Replace a secret as a whole; `[redacted]` keeps an entry's stored value")
            .needs(Action::ManageSecrets)
            .takes("SecretWrite")
            .answers(200, "SecretSaved"),
        Route::patch("/accounts/projects/{project}/secrets/{secret}", patch)
            .summary("Change single entries")
            .needs(Action::ManageSecrets)
            .takes("SecretPatch")
            .answers(200, "SecretSaved"),
        Route::delete("/accounts/projects/{project}/secrets/{secret}", delete)
            .summary("Delete a secret; refused while a service names it, unless `force=true`. It can be restored for a while")
            .needs(Action::ManageSecrets)
            .query(&["force"])
            .answers_nothing(),
        Route::get("/accounts/projects/{project}/secrets/{secret}/versions", versions)
            .summary("Every save, newest first")
            .needs(Action::ReadSecrets)
            .answers(200, "SecretVersions"),
        Route::post("/accounts/projects/{project}/secrets/{secret}/rollback", rollback)
            .summary("Save an older version as the newest")
            .needs(Action::ManageSecrets)
            .takes("Rollback")
            .answers(200, "SecretSaved"),
        Route::get("/accounts/projects/{project}/secrets/{secret}/usage", usage)
            .summary("The services that name it, and what would follow if it were deleted")
            .needs(Action::ReadSecrets)
            .answers(200, "SecretUsage"),
        Route::get("/accounts/projects/{project}/deleted-secrets", deleted)
            .summary("Deleted secrets that can be restored, newest deletion first")
            .needs(Action::ReadSecrets)
            .answers(200, "DeletedSecretList"),
        Route::post("/accounts/projects/{project}/deleted-secrets/{secret}/restore", restore)
            .summary("Put a deleted secret back with all its versions, under its own name or another")
            .needs(Action::ManageSecrets)
            .takes("SecretRestore")
            .answers(200, "SecretItem"),
        Route::post("/accounts/projects/{project}/pull-secrets/test", test_pull)
            .summary("Ask a registry whether a pull secret, stored or not saved yet, may pull an image")
            .needs(Action::Bind)
            .takes("PullTest")
            .answers(200, "PullTested"),
    ]
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    detail: bool,
}

async fn list(
    In { control, caller, project }: In,
    Query(query): Query<ListQuery>,
) -> Result<Answer<wire::SecretList>, ApiError> {
    Ok(Answer::ok(control.list_secrets(&caller, project, query.detail).await?))
}

async fn create(
    In { control, caller, project }: In,
    Body(write): Body<wire::SecretWrite>,
) -> Result<Answer<wire::SecretSaved>, ApiError> {
    let saved = control.create_secret(&caller, project, write).await?;
    let version = Some(saved.version);
    Ok(Answer::created(saved).version(version))
}

#[derive(Deserialize)]
struct ReadQuery {
    #[serde(default)]
    reveal: bool,
}

async fn read(
    In { control, caller, project }: In,
    At(secret): At<SecretId>,
    Query(query): Query<ReadQuery>,
) -> Result<Response, ApiError> {
    if query.reveal {
        let revealed = control.reveal_secret(&caller, project, secret).await?;
        let version = Some(revealed.version);
        return Ok(Answer::ok(revealed).version(version).into_response());
    }
    let item = control.secret(&caller, project, secret).await?;
    let version = item.detail.as_ref().map(|detail| detail.version);
    Ok(Answer::ok(item).version(version).into_response())
}

async fn save(
    In { control, caller, project }: In,
    At(secret): At<SecretId>,
    IfMatch(version): IfMatch,
    Body(write): Body<wire::SecretWrite>,
) -> Result<Answer<wire::SecretSaved>, ApiError> {
    Ok(saved(control.save_secret(&caller, project, secret, write, version).await?))
}

async fn patch(
    In { control, caller, project }: In,
    At(secret): At<SecretId>,
    IfMatch(version): IfMatch,
    Body(change): Body<wire::SecretPatch>,
) -> Result<Answer<wire::SecretSaved>, ApiError> {
    Ok(saved(control.patch_secret(&caller, project, secret, change, version).await?))
}

#[derive(Deserialize)]
struct DeleteQuery {
    #[serde(default)]
    force: bool,
}

async fn delete(
    In { control, caller, project }: In,
    At(secret): At<SecretId>,
    Query(query): Query<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    control.delete_secret(&caller, project, secret, query.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn versions(
    In { control, caller, project }: In,
    At(secret): At<SecretId>,
) -> Result<Answer<wire::SecretVersions>, ApiError> {
    Ok(Answer::ok(control.secret_versions(&caller, project, secret).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    version: u32,
}

async fn rollback(
    In { control, caller, project }: In,
    At(secret): At<SecretId>,
    Body(wanted): Body<Rollback>,
) -> Result<Answer<wire::SecretSaved>, ApiError> {
    Ok(saved(control.rollback_secret(&caller, project, secret, wanted.version).await?))
}

async fn usage(
    In { control, caller, project }: In,
    At(secret): At<SecretId>,
) -> Result<Answer<wire::SecretUsage>, ApiError> {
    Ok(Answer::ok(control.secret_usage(&caller, project, secret).await?))
}

async fn deleted(In { control, caller, project }: In) -> Result<Answer<wire::DeletedSecretList>, ApiError> {
    Ok(Answer::ok(control.deleted_secrets(&caller, project).await?))
}

async fn restore(
    In { control, caller, project }: In,
    At(secret): At<SecretId>,
    Body(wanted): Body<wire::SecretRestore>,
) -> Result<Answer<wire::SecretItem>, ApiError> {
    let item = control.restore_secret(&caller, project, secret, wanted.name.as_deref()).await?;
    let version = item.detail.as_ref().map(|detail| detail.version);
    Ok(Answer::ok(item).version(version))
}

async fn test_pull(
    In { control, caller, project }: In,
    Body(test): Body<wire::PullTest>,
) -> Result<Answer<wire::PullTested>, ApiError> {
    Ok(Answer::ok(control.test_pull(&caller, project, test).await?))
}

fn saved(saved: wire::SecretSaved) -> Answer<wire::SecretSaved> {
    let version = Some(saved.version);
    Answer::ok(saved).version(version)
}
