//! The editor of an image pull secret, and the try against its registry.

use super::{
    pull_form::{PRESETS, PullForm},
    stored::{After, Said, Stored},
};
use crate::{
    error::ApiError,
    extract::{At, Query},
    studio::{
        fields::Fields,
        frame::{Frame, Page, Section, see},
        post::Post,
        text::lines,
        visit::Visit,
    },
};
use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::SecretId,
    secret::SecretKind,
    wire::{PullTest, PullTested, SecretPatch, SecretSaved, SecretWrite, status_of},
};

#[derive(Template)]
#[template(path = "pull_secret.html")]
pub(super) struct Editor {
    frame: Frame,
    /// None for one that is not saved yet.
    stored: Option<Stored>,
    may_manage: bool,
    form: PullForm,
    tested: Option<PullTested>,
    said: Said,
}

pub(super) async fn new(visit: Visit) -> Result<Page<Editor>, ApiError> {
    visit.caller.may(visit.project, Action::ManageSecrets)?;
    Ok(Page(editor(&visit, None, PullForm::default())))
}

pub(super) async fn create(visit: Visit, Post(fields): Post) -> Result<Response, ApiError> {
    let form = PullForm::read(&fields);
    let form = match tried(&visit, &fields, None, form).await? {
        Ok(page) => return Ok(Page(page).into_response()),
        Err(form) => form,
    };
    let write = SecretWrite {
        id: None,
        name: form.name.clone(),
        kind: SecretKind::Docker.as_str().to_owned(),
        data: Some(form.members()),
        data_base64: None,
    };
    match visit.control.create_secret(&visit.caller, visit.project, write).await {
        Ok(saved) => Ok(after(&visit, &saved)),
        Err(refusal) => refused(&visit, None, form, refusal),
    }
}

pub(super) async fn open(
    visit: Visit,
    At(id): At<SecretId>,
    Query(after): Query<After>,
) -> Result<Page<Editor>, ApiError> {
    let (stored, form) = find(&visit, id).await?;
    Ok(Page(Editor { said: after.into(), ..editor(&visit, Some(stored), form) }))
}

pub(super) async fn save(visit: Visit, At(id): At<SecretId>, Post(fields): Post) -> Result<Response, ApiError> {
    let (stored, _) = find(&visit, id).await?;
    let form = PullForm::read(&fields);
    let stored_id = stored.id;
    let mut form = match tried(&visit, &fields, Some(stored), form).await? {
        Ok(page) => return Ok(Page(page).into_response()),
        Err(form) => form,
    };
    let patch = SecretPatch { name: Some(form.name.clone()), set: Some(form.members()), unset: Vec::new() };
    match visit.control.patch_secret(&visit.caller, visit.project, stored_id, patch, Some(form.version)).await {
        Ok(saved) => Ok(after(&visit, &saved)),
        Err(refusal) => {
            let (stored, _) = find(&visit, stored_id).await?;
            if refusal.kind == RefusalKind::Stale {
                form.version = stored.version;
                let page = Editor { said: Said::stale(), ..editor(&visit, Some(stored), form) };
                return Ok((StatusCode::CONFLICT, Page(page)).into_response());
            }
            refused(&visit, Some(stored), form, refusal)
        }
    }
}

/// The page of a button that saves nothing; the form back when it was the save.
async fn tried(
    visit: &Visit,
    fields: &Fields,
    stored: Option<Stored>,
    mut form: PullForm,
) -> Result<Result<Editor, PullForm>, ApiError> {
    match fields.one("action") {
        Some("fill") => {
            form.fill();
            Ok(Ok(editor(visit, stored, form)))
        }
        Some("test") => {
            match visit.control.test_pull(&visit.caller, visit.project, test_of(&form, stored.as_ref())).await {
                Ok(tested) => Ok(Ok(Editor { tested: Some(tested), ..editor(visit, stored, form) })),
                Err(refusal) if refusal.kind == RefusalKind::Invalid => {
                    Ok(Ok(Editor { said: Said::refused(refusal), ..editor(visit, stored, form) }))
                }
                Err(refusal) => Err(refusal.into()),
            }
        }
        _ => Ok(Err(form)),
    }
}

/// What is typed is tried; with a blank password what is stored, as it is.
fn test_of(form: &PullForm, stored: Option<&Stored>) -> PullTest {
    let image = form.image.clone();
    match stored {
        Some(stored) if form.password.is_empty() => {
            PullTest { secret_id: Some(stored.id), server: None, username: None, password: None, image }
        }
        _ => PullTest {
            secret_id: None,
            server: Some(form.server.clone()),
            username: Some(form.username.clone()),
            password: Some(form.password.clone()),
            image,
        },
    }
}

fn after(visit: &Visit, saved: &SecretSaved) -> Response {
    let SecretSaved { id, version, sessions_on_older, .. } = saved;
    see(&visit.path(&format!("/pull-secrets/{id}?saved={version}&older={sessions_on_older}")))
}

fn refused(visit: &Visit, stored: Option<Stored>, form: PullForm, refusal: Refusal) -> Result<Response, ApiError> {
    if !matches!(refusal.kind, RefusalKind::Invalid | RefusalKind::Conflict) {
        return Err(refusal.into());
    }
    let status = StatusCode::from_u16(status_of(refusal.kind)).unwrap_or(StatusCode::BAD_REQUEST);
    let page = Editor { said: Said::refused(refusal), ..editor(visit, stored, form) };
    Ok((status, Page(page)).into_response())
}

fn editor(visit: &Visit, stored: Option<Stored>, form: PullForm) -> Editor {
    let title = if stored.is_some() { form.name.as_str() } else { "New image pull secret" };
    let frame = visit.frame(Section::Secrets, title);
    let may_manage = visit.caller.may(visit.project, Action::ManageSecrets).is_ok();
    Editor { frame, stored, may_manage, form, tested: None, said: Said::default() }
}

async fn find(visit: &Visit, id: SecretId) -> Result<(Stored, PullForm), ApiError> {
    let (stored, item) = Stored::find(visit, id, SecretKind::Docker).await?;
    let form = PullForm::of(item.name.as_str(), stored.version, &item.data);
    Ok((stored, form))
}
