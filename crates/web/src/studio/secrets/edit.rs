//! The editor of a secret key.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_core::{
    Refusal, RefusalKind, Timestamp,
    access::Action,
    id::SecretId,
    secret::SecretKind,
    wire::{SecretItem, SecretSaved, SecretWrite, status_of},
};
use serde::Deserialize;

use super::form::{Change, Form};
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
#[template(path = "secret.html")]
pub(super) struct Editor {
    frame: Frame,
    /// None for one that is not saved yet.
    stored: Option<Stored>,
    may_manage: bool,
    form: Form,
    preview: Option<Vec<Change>>,
    said: Said,
}

/// What the page tells of the secret beside its entries.
struct Stored {
    id: SecretId,
    version: u32,
    updated_at: Timestamp,
    updated_by: String,
    used_by: Vec<String>,
    /// Where two secret keys of one service have an entry of the same name.
    clashes: Vec<String>,
}

/// What came of a form.
#[derive(Default)]
pub(super) struct Said {
    refusal: Option<Refusal>,
    /// It was saved.
    saved: Option<Saved>,
    /// Somebody else saved in between: whose version the editor shows now.
    stale: bool,
}

struct Saved {
    version: u32,
    older: u32,
    remarks: Vec<String>,
}

/// What a redirect after a save tells: numbers, so that no other page can put words here.
#[derive(Deserialize)]
pub(super) struct After {
    saved: Option<u32>,
    #[serde(default)]
    older: u32,
}

pub(super) async fn new(visit: Visit) -> Result<Page<Editor>, ApiError> {
    visit.caller.may(visit.project, Action::ManageSecrets)?;
    Ok(Page(editor(&visit, None, Form::of("", 0, []), Said::default())))
}

pub(super) async fn create(visit: Visit, Post(fields): Post) -> Result<Response, ApiError> {
    let mut form = Form::read(&fields);
    if is_preview(&fields) {
        let preview = form.preview(&[]);
        return Ok(Page(Editor { preview, ..editor(&visit, None, form, Said::default()) }).into_response());
    }
    let Some(patch) = form.patch() else { return Ok(wrong(editor(&visit, None, form, Said::default()))) };
    let write = SecretWrite {
        id: None,
        name: form.name.clone(),
        kind: SecretKind::Keys.as_str().to_owned(),
        data: patch.set,
        data_base64: None,
    };
    match visit.control.create_secret(&visit.caller, visit.project, write).await {
        Ok(saved) => after(&visit, saved).await,
        Err(refusal) => refused(&visit, None, form, refusal),
    }
}

pub(super) async fn open(
    visit: Visit,
    At(id): At<SecretId>,
    Query(after): Query<After>,
) -> Result<Page<Editor>, ApiError> {
    let (stored, form) = find(&visit, id).await?;
    let saved = after.saved.map(|version| Saved { version, older: after.older, remarks: Vec::new() });
    Ok(Page(editor(&visit, Some(stored), form, Said { saved, ..Said::default() })))
}

pub(super) async fn save(visit: Visit, At(id): At<SecretId>, Post(fields): Post) -> Result<Response, ApiError> {
    let (stored, current) = find(&visit, id).await?;
    let mut form = Form::read(&fields);
    let names = stored_names(&current);
    if is_preview(&fields) {
        let preview = form.preview(&names);
        return Ok(Page(Editor { preview, ..editor(&visit, Some(stored), form, Said::default()) }).into_response());
    }
    let Some(patch) = form.patch() else { return Ok(wrong(editor(&visit, Some(stored), form, Said::default()))) };
    match visit.control.patch_secret(&visit.caller, visit.project, id, patch, Some(form.version)).await {
        Ok(saved) => after(&visit, saved).await,
        Err(refusal) if refusal.kind == RefusalKind::Stale => {
            form.rebase(stored.version, &names);
            let said = Said { stale: true, ..Said::default() };
            Ok((StatusCode::CONFLICT, Page(editor(&visit, Some(stored), form, said))).into_response())
        }
        Err(refusal) => refused(&visit, Some(stored), form, refusal),
    }
}

fn is_preview(fields: &Fields) -> bool {
    fields.one("action") == Some("preview")
}

fn stored_names(form: &Form) -> Vec<String> {
    form.rows.iter().filter(|row| row.is_stored).map(|row| row.name.clone()).collect()
}

/// To the secret's page. Remarks are words, which no redirect carries: with some the page is the answer itself.
async fn after(visit: &Visit, saved: SecretSaved) -> Result<Response, ApiError> {
    let SecretSaved { id, version, sessions_on_older: older, warnings, .. } = saved;
    if warnings.is_empty() {
        return Ok(see(&visit.path(&format!("/secrets/{id}?saved={version}&older={older}"))));
    }
    let (stored, form) = find(visit, id).await?;
    let saved = Some(Saved { version, older, remarks: warnings });
    Ok(Page(editor(visit, Some(stored), form, Said { saved, ..Said::default() })).into_response())
}

fn refused(visit: &Visit, stored: Option<Stored>, mut form: Form, refusal: Refusal) -> Result<Response, ApiError> {
    if !matches!(refusal.kind, RefusalKind::Invalid | RefusalKind::Conflict | RefusalKind::TooLarge) {
        return Err(refusal.into());
    }
    let status = StatusCode::from_u16(status_of(refusal.kind)).unwrap_or(StatusCode::BAD_REQUEST);
    let refusal = if form.place(&refusal) { None } else { Some(refusal) };
    let page = editor(visit, stored, form, Said { refusal, ..Said::default() });
    Ok((status, Page(page)).into_response())
}

fn wrong(page: Editor) -> Response {
    (StatusCode::BAD_REQUEST, Page(page)).into_response()
}

fn editor(visit: &Visit, stored: Option<Stored>, form: Form, said: Said) -> Editor {
    let title = if stored.is_some() { form.name.as_str() } else { "New secret key" };
    let frame = visit.frame(Section::Secrets, title);
    let may_manage = visit.caller.may(visit.project, Action::ManageSecrets).is_ok();
    Editor { frame, stored, may_manage, form, preview: None, said }
}

async fn find(visit: &Visit, id: SecretId) -> Result<(Stored, Form), ApiError> {
    let item = visit.control.secret(&visit.caller, visit.project, id).await?;
    let SecretItem { name, kind: SecretKind::Keys, data, detail: Some(detail), .. } = item else {
        return Err(no_such("secret key"));
    };
    let clashes = visit.control.secret_clashes(&visit.caller, visit.project, id).await?;
    let form = Form::of(name.as_str(), detail.version, data.into_keys());
    let stored = Stored {
        id,
        version: detail.version,
        updated_at: detail.updated_at,
        updated_by: detail.updated_by,
        used_by: detail.used_by,
        clashes,
    };
    Ok((stored, form))
}
