//! The editor of a secret key.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::SecretId,
    secret::SecretKind,
    wire::{SecretSaved, SecretWrite, status_of},
};

use super::{
    form::{Change, Form},
    stored::{After, Said, Saved, Stored},
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
    Ok(Page(editor(&visit, Some(stored), form, after.into())))
}

pub(super) async fn save(visit: Visit, At(id): At<SecretId>, Post(fields): Post) -> Result<Response, ApiError> {
    let (mut stored, current) = find(&visit, id).await?;
    let mut form = Form::read(&fields);
    let names = current.stored_names();
    if is_preview(&fields) {
        let preview = form.preview(&names);
        let also: Vec<_> = preview.iter().flatten().map(|change| change.name.clone()).collect();
        stored.clashes = visit.control.secret_clashes(&visit.caller, visit.project, id, &also).await?;
        return Ok(Page(Editor { preview, ..editor(&visit, Some(stored), form, Said::default()) }).into_response());
    }
    let Some(patch) = form.patch() else { return Ok(wrong(editor(&visit, Some(stored), form, Said::default()))) };
    match visit.control.patch_secret(&visit.caller, visit.project, id, patch, Some(form.version)).await {
        Ok(saved) => after(&visit, saved).await,
        Err(refusal) if refusal.kind == RefusalKind::Stale => {
            // Looked at again: whoever was faster may have saved after the first look.
            let (stored, current) = find(&visit, id).await?;
            form.rebase(stored.version, &current.stored_names());
            Ok((StatusCode::CONFLICT, Page(editor(&visit, Some(stored), form, Said::stale()))).into_response())
        }
        Err(refusal) => refused(&visit, Some(stored), form, refusal),
    }
}

fn is_preview(fields: &Fields) -> bool {
    fields.one("action") == Some("preview")
}

/// To the secret's page. Remarks are words, which no redirect carries: with some the page is the answer itself.
async fn after(visit: &Visit, saved: SecretSaved) -> Result<Response, ApiError> {
    if saved.warnings.is_empty() {
        let SecretSaved { id, version, sessions_on_older, .. } = saved;
        return Ok(see(&visit.path(&format!("/secrets/{id}?saved={version}&older={sessions_on_older}"))));
    }
    let (stored, form) = find(visit, saved.id).await?;
    let said = Said { saved: Some(Saved::from(saved)), ..Said::default() };
    Ok(Page(editor(visit, Some(stored), form, said)).into_response())
}

fn refused(visit: &Visit, stored: Option<Stored>, mut form: Form, refusal: Refusal) -> Result<Response, ApiError> {
    if !matches!(refusal.kind, RefusalKind::Invalid | RefusalKind::Conflict | RefusalKind::TooLarge) {
        return Err(refusal.into());
    }
    let status = StatusCode::from_u16(status_of(refusal.kind)).unwrap_or(StatusCode::BAD_REQUEST);
    let said = if form.place(&refusal) { Said::default() } else { Said::refused(refusal) };
    Ok((status, Page(editor(visit, stored, form, said))).into_response())
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
    let (stored, item) = Stored::find(visit, id, SecretKind::Keys).await?;
    let form = Form::of(item.name.as_str(), stored.version, item.data.into_keys());
    Ok((stored, form))
}
