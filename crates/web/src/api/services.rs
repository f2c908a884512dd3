//! Services of a project and of a room: the same handlers, the scope is in the path.

use http::StatusCode;
use meshkeep_control::from_template;
use meshkeep_core::{
    access::Action,
    id::ServiceId,
    service::ServiceSpec,
    template::{TemplateSpec, TemplateWrite},
    wire,
};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    api::Answer,
    error::ApiError,
    extract::{At, Authenticated, Body, Document, In, InScope},
    route::Route,
};

macro_rules! scope_of {
    ($all:literal) => {
        [
            $all,
            concat!($all, "/environment"),
            concat!($all, "/{service}"),
            concat!($all, "/{service}/pin"),
            concat!($all, "/{service}/unpin"),
            concat!($all, "/{service}/restart"),
        ]
    };
}

const PROJECT: [&str; 6] = scope_of!("/accounts/projects/{project}/services");
const ROOM: [&str; 6] = scope_of!("/accounts/projects/{project}/rooms/{room}/services");

pub(super) fn routes() -> Vec<Route> {
    let render = Route::post("/templates/render", render)
        .summary("What a service template becomes with its values")
        .needs_credential()
        .takes("TemplateWrite")
        .answers(200, "TemplateSpec");
    [PROJECT, ROOM].into_iter().flat_map(scope).chain([render]).collect()
}

fn scope([all, environment, one, pin, unpin, restart]: [&'static str; 6]) -> Vec<Route> {
    vec![
        Route::get(all, list)
            .summary("All services of the scope")
            .needs(Action::ReadServices)
            .answers(200, "ServiceList"),
        Route::post(all, create)
            .summary("Make a service; binding secrets needs the bind right")
            .needs(Action::ManageServices)
            .takes("ServiceSpec")
            .answers(201, "ServiceSpec"),
        Route::post(environment, preview)
            .summary("The names in the environment of a service of this manifest, where each comes from, what it hides")
            .needs(Action::ReadServices)
            .takes("ServiceSpec")
            .answers(200, "EnvironmentPreview"),
        Route::get(one, read).summary("One service").needs(Action::ReadServices).answers(200, "ServiceSpec"),
        Route::put(one, update)
            .summary("Replace a service; one with bound secrets needs the bind right")
            .needs(Action::ManageServices)
            .takes("ServiceSpec")
            .answers(200, "ServiceSpec"),
        Route::delete(one, delete).summary("Delete a service").needs(Action::ManageServices).answers_nothing(),
        Route::post(pin, pinned)
            .summary("Keep it at the image that its tag names now")
            .needs(Action::ManageServices)
            .answers(200, "ServiceSpec"),
        Route::post(unpin, unpinned)
            .summary("Let it follow its image's tag again")
            .needs(Action::ManageServices)
            .answers(200, "ServiceSpec"),
        Route::post(restart, begin_restart)
            .summary("Restart it in all its running sessions, one after the other, up to the first that does not become ready")
            .needs(Action::RunSessions)
            .answers(202, "RollingRestart"),
        Route::get(restart, read_restart)
            .summary("Its newest rolling restart, and how far each session is")
            .needs(Action::Look)
            .answers(200, "RollingRestart"),
    ]
}

/// A body that names a template is not a manifest with an unknown member: it is told apart, and rendered.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    template: Option<IgnoredAny>,
}

fn manifest(document: &Document) -> Result<ServiceSpec, ApiError> {
    match document.read::<Shape>() {
        Ok(Shape { template: Some(_) }) => Ok(from_template(&document.read::<TemplateWrite>()?)?),
        _ => document.read(),
    }
}

async fn render(
    Authenticated { control, caller }: Authenticated,
    Body(write): Body<TemplateWrite>,
) -> Result<Answer<TemplateSpec>, ApiError> {
    Ok(Answer::ok(control.render_template(&caller, &write)?))
}

async fn list(
    In { control, caller, project }: In,
    InScope(scope): InScope,
) -> Result<Answer<wire::ServiceList>, ApiError> {
    Ok(Answer::ok(control.list_services(&caller, project, scope).await?))
}

async fn create(
    In { control, caller, project }: In,
    InScope(scope): InScope,
    document: Document,
) -> Result<Answer<ServiceSpec>, ApiError> {
    Ok(Answer::created(control.create_service(&caller, project, scope, manifest(&document)?).await?))
}

async fn read(
    In { control, caller, project }: In,
    InScope(scope): InScope,
    At(service): At<ServiceId>,
) -> Result<Answer<ServiceSpec>, ApiError> {
    Ok(Answer::ok(control.service(&caller, project, scope, service).await?))
}

async fn update(
    In { control, caller, project }: In,
    InScope(scope): InScope,
    At(service): At<ServiceId>,
    document: Document,
) -> Result<Answer<ServiceSpec>, ApiError> {
    Ok(Answer::ok(control.update_service(&caller, project, scope, service, manifest(&document)?).await?))
}

async fn delete(
    In { control, caller, project }: In,
    InScope(scope): InScope,
    At(service): At<ServiceId>,
) -> Result<StatusCode, ApiError> {
    control.delete_service(&caller, project, scope, service).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn preview(
    In { control, caller, project }: In,
    InScope(scope): InScope,
    document: Document,
) -> Result<Answer<wire::EnvironmentPreview>, ApiError> {
    Ok(Answer::ok(control.preview_environment(&caller, project, scope, &manifest(&document)?).await?))
}

async fn pinned(
    In { control, caller, project }: In,
    InScope(scope): InScope,
    At(service): At<ServiceId>,
) -> Result<Answer<ServiceSpec>, ApiError> {
    Ok(Answer::ok(control.pin_service(&caller, project, scope, service).await?))
}

async fn unpinned(
    In { control, caller, project }: In,
    InScope(scope): InScope,
    At(service): At<ServiceId>,
) -> Result<Answer<ServiceSpec>, ApiError> {
    Ok(Answer::ok(control.unpin_service(&caller, project, scope, service).await?))
}

async fn begin_restart(
    In { control, caller, project }: In,
    InScope(scope): InScope,
    At(service): At<ServiceId>,
) -> Result<Answer<wire::RollingRestart>, ApiError> {
    Ok(Answer::accepted(control.begin_rolling_restart(&caller, project, scope, service).await?))
}

async fn read_restart(
    In { control, caller, project }: In,
    InScope(scope): InScope,
    At(service): At<ServiceId>,
) -> Result<Answer<wire::RollingRestart>, ApiError> {
    Ok(Answer::ok(control.rolling_restart(&caller, project, scope, service).await?))
}
