//! Services of a project and of a room: the same handlers, the scope is in the path.

use http::StatusCode;
use meshkeep_core::{access::Action, id::ServiceId, service::ServiceSpec, wire};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    api::Answer,
    error::{ApiError, not_offered},
    extract::{At, Document, In, InScope},
    route::Route,
};

const PROJECT: [&str; 2] = ["/accounts/projects/{project}/services", "/accounts/projects/{project}/services/{service}"];
const ROOM: [&str; 2] = [
    "/accounts/projects/{project}/rooms/{room}/services",
    "/accounts/projects/{project}/rooms/{room}/services/{service}",
];

pub(super) fn routes() -> Vec<Route> {
    [PROJECT, ROOM].into_iter().flat_map(|[all, one]| scope(all, one)).collect()
}

fn scope(all: &'static str, one: &'static str) -> Vec<Route> {
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
        Route::get(one, read).summary("One service").needs(Action::ReadServices).answers(200, "ServiceSpec"),
        Route::put(one, update)
            .summary("Replace a service; one with bound secrets needs the bind right")
            .needs(Action::ManageServices)
            .takes("ServiceSpec")
            .answers(200, "ServiceSpec"),
        Route::delete(one, delete).summary("Delete a service").needs(Action::ManageServices).answers_nothing(),
    ]
}

/// A body that names a template is not a manifest with an unknown member: it is told apart and refused by name.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    template: Option<IgnoredAny>,
}

fn manifest(document: &Document) -> Result<ServiceSpec, ApiError> {
    match document.read::<Shape>() {
        Ok(Shape { template: Some(_) }) => Err(not_offered("service templates")),
        _ => document.read(),
    }
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
