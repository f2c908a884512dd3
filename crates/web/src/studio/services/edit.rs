//! Opening, changing and saving a service.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_control::Scope;
use meshkeep_core::{Refusal, RefusalKind, access::Action, id::ServiceId, service::ServiceSpec, wire::status_of};
use serde::Deserialize;

use super::editor::{Draft, Editor};
use crate::{
    error::ApiError,
    extract::{At, InScope, Query},
    studio::{
        frame::{Page, see},
        post::Post,
        visit::Visit,
    },
};

#[derive(Deserialize)]
pub(super) struct After {
    #[serde(default)]
    saved: bool,
}

pub(super) async fn new(visit: Visit, InScope(scope): InScope) -> Result<Page<Editor>, ApiError> {
    visit.caller.may(visit.project, Action::ManageServices)?;
    Ok(Page(Editor::new(&visit, &scope, None, Draft::empty()).await?))
}

pub(super) async fn open(
    visit: Visit,
    InScope(scope): InScope,
    At(id): At<ServiceId>,
    Query(After { saved }): Query<After>,
) -> Result<Page<Editor>, ApiError> {
    let spec = visit.control.service(&visit.caller, visit.project, scope.clone(), id).await?;
    let mut page = Editor::new(&visit, &scope, Some(id), Draft::of(&spec)).await?;
    page.is_saved = saved;
    Ok(Page(page))
}

pub(super) async fn create(visit: Visit, InScope(scope): InScope, Post(fields): Post) -> Result<Response, ApiError> {
    changed(&visit, scope, None, Draft::read(&fields), fields.one("action").unwrap_or_default()).await
}

pub(super) async fn save(
    visit: Visit,
    InScope(scope): InScope,
    At(id): At<ServiceId>,
    Post(fields): Post,
) -> Result<Response, ApiError> {
    changed(&visit, scope, Some(id), Draft::read(&fields), fields.one("action").unwrap_or_default()).await
}

/// Every button of the page comes here. Only the save changes anything but the page.
async fn changed(
    visit: &Visit,
    scope: Scope,
    id: Option<ServiceId>,
    mut draft: Draft,
    action: &str,
) -> Result<Response, ApiError> {
    match action {
        "save" => match draft.spec() {
            Ok(spec) => stored(visit, scope, id, draft, spec).await,
            Err(refusal) => refused(visit, &scope, id, draft, refusal).await,
        },
        "yaml" | "form" => match draft.turned(action == "yaml") {
            Ok(draft) => Ok(Page(Editor::new(visit, &scope, id, draft).await?).into_response()),
            Err(refusal) => refused(visit, &scope, id, draft, refusal).await,
        },
        _ => {
            if let Draft::Form(form) = &mut draft {
                form.change(action);
            }
            Ok(Page(Editor::new(visit, &scope, id, draft).await?).into_response())
        }
    }
}

async fn stored(
    visit: &Visit,
    scope: Scope,
    id: Option<ServiceId>,
    draft: Draft,
    spec: ServiceSpec,
) -> Result<Response, ApiError> {
    let saved = match id {
        Some(id) => visit.control.update_service(&visit.caller, visit.project, scope.clone(), id, spec).await,
        None => visit.control.create_service(&visit.caller, visit.project, scope.clone(), spec).await,
    };
    match saved {
        Ok(spec) => {
            let scope = match scope {
                Scope::Project => String::new(),
                Scope::Room(room) => format!("/rooms/{room}"),
            };
            Ok(see(&visit.path(&format!("{scope}/services/{}?saved=true", spec.id.unwrap_or_default()))))
        }
        Err(refusal) => refused(visit, &scope, id, draft, refusal).await,
    }
}

async fn refused(
    visit: &Visit,
    scope: &Scope,
    id: Option<ServiceId>,
    draft: Draft,
    refusal: Refusal,
) -> Result<Response, ApiError> {
    if matches!(refusal.kind, RefusalKind::NotFound | RefusalKind::Unavailable | RefusalKind::Broken) {
        return Err(refusal.into());
    }
    let status = StatusCode::from_u16(status_of(refusal.kind)).unwrap_or(StatusCode::BAD_REQUEST);
    let mut page = Editor::new(visit, scope, id, draft).await?;
    page.refusal = Some(refusal);
    Ok((status, Page(page)).into_response())
}
