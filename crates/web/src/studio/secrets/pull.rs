//! The editor of an image pull secret, and the try against its registry.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_core::{
    Refusal, RefusalKind, Timestamp,
    access::Action,
    id::SecretId,
    secret::SecretKind,
    wire::{PullTest, PullTested, SecretItem, SecretPatch, SecretSaved, SecretWrite, status_of},
};
use serde::Deserialize;

use super::pull_form::{PRESETS, PullForm};
use crate::{
    error::{ApiError, no_such},
    extract::{At, Query},
    studio::{
        fields::Fields,
        frame::{Frame, Page, Section, see},
        post::Post,
        text::{count, lines, moment},
        visit::Visit,
    },
};

#[derive(Template)]
#[template(path = "pull_secret.html")]
pub(super) struct Editor {
    frame: Frame,
    stored: Option<Stored>,
    may_manage: bool,
    form: PullForm,
    refusal: Option<Refusal>,
    stale: bool,
    tested: Option<PullTested>,
    saved: Option<Saved>,
}

/// What came of a save.
struct Saved {
    version: u32,
    /// Sessions that use an older one.
    older: u32,
}

struct Stored {
    id: SecretId,
    version: u32,
    updated_at: Timestamp,
    updated_by: String,
    used_by: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct After {
    saved: Option<u32>,
    #[serde(default)]
    older: u32,
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
    let saved = after.saved.map(|version| Saved { version, older: after.older });
    Ok(Page(Editor { saved, ..editor(&visit, Some(stored), form) }))
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
                let page = Editor { stale: true, ..editor(&visit, Some(stored), form) };
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
                    Ok(Ok(Editor { refusal: Some(refusal), ..editor(visit, stored, form) }))
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
    let page = Editor { refusal: Some(refusal), ..editor(visit, stored, form) };
    Ok((status, Page(page)).into_response())
}

fn editor(visit: &Visit, stored: Option<Stored>, form: PullForm) -> Editor {
    let title = if stored.is_some() { form.name.as_str() } else { "New image pull secret" };
    let frame = visit.frame(Section::Secrets, title);
    let may_manage = visit.caller.may(visit.project, Action::ManageSecrets).is_ok();
    Editor { frame, stored, may_manage, form, refusal: None, stale: false, tested: None, saved: None }
}

async fn find(visit: &Visit, id: SecretId) -> Result<(Stored, PullForm), ApiError> {
    let item = visit.control.secret(&visit.caller, visit.project, id).await?;
    let SecretItem { name, kind: SecretKind::Docker, data, detail: Some(detail), .. } = item else {
        return Err(no_such("image pull secret"));
    };
    let form = PullForm::of(name.as_str(), detail.version, &data);
    let stored = Stored {
        id,
        version: detail.version,
        updated_at: detail.updated_at,
        updated_by: detail.updated_by,
        used_by: detail.used_by,
    };
    Ok((stored, form))
}
