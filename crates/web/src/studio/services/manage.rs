//! Deleting a service, and restarting it wherever it runs.

use askama::Template;
use axum::response::Response;
use meshkeep_control::Scope;
use meshkeep_core::{access::Action, id::ServiceId};

use crate::{
    error::ApiError,
    extract::{At, InScope},
    studio::{
        frame::{Frame, Page, Section, see},
        post::Post,
        visit::Visit,
    },
};

#[derive(Template)]
#[template(path = "service_delete.html")]
pub(super) struct Delete {
    frame: Frame,
    name: String,
    path: String,
}

fn path(visit: &Visit, scope: &Scope, id: ServiceId) -> String {
    match scope {
        Scope::Project => visit.path(&format!("/services/{id}")),
        Scope::Room(room) => visit.path(&format!("/rooms/{room}/services/{id}")),
    }
}

pub(super) async fn ask(
    visit: Visit,
    InScope(scope): InScope,
    At(id): At<ServiceId>,
) -> Result<Page<Delete>, ApiError> {
    visit.caller.may(visit.project, Action::ManageServices)?;
    let path = path(&visit, &scope, id);
    let name = visit.control.service(&visit.caller, visit.project, scope, id).await?.metadata.name;
    let frame = visit.frame(Section::Services, &format!("Delete {name}"));
    Ok(Page(Delete { frame, name, path }))
}

pub(super) async fn delete(
    visit: Visit,
    InScope(scope): InScope,
    At(id): At<ServiceId>,
    Post(_): Post,
) -> Result<Response, ApiError> {
    visit.control.delete_service(&visit.caller, visit.project, scope, id).await?;
    Ok(see(&visit.path("/services")))
}

/// Begins a rolling restart; the service's page shows how far it is.
pub(super) async fn restart(
    visit: Visit,
    InScope(scope): InScope,
    At(id): At<ServiceId>,
    Post(_): Post,
) -> Result<Response, ApiError> {
    let path = path(&visit, &scope, id);
    visit.control.begin_rolling_restart(&visit.caller, visit.project, scope, id).await?;
    Ok(see(&path))
}
