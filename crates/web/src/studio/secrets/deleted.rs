//! Deleted secrets, and putting one back.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use meshkeep_core::{Refusal, access::Action, id::SecretId, secret::SecretKind, wire::DeletedSecret};

use super::delete::path_of;
use crate::{
    error::ApiError,
    studio::{
        frame::{Frame, Page, Section, see},
        post::Post,
        text::moment,
        visit::Visit,
    },
};

#[derive(Template)]
#[template(path = "secrets_deleted.html")]
pub(super) struct Deleted {
    frame: Frame,
    may_manage: bool,
    secrets: Vec<DeletedSecret>,
    refusal: Option<Refusal>,
    /// The one that was not restored, and the name that was tried.
    tried: Option<(SecretId, String)>,
}

pub(super) async fn list(visit: Visit) -> Result<Page<Deleted>, ApiError> {
    page(&visit, None, None).await
}

async fn page(
    visit: &Visit,
    refusal: Option<Refusal>,
    tried: Option<(SecretId, String)>,
) -> Result<Page<Deleted>, ApiError> {
    let secrets = visit.control.deleted_secrets(&visit.caller, visit.project).await?.secrets;
    let frame = visit.frame(Section::Secrets, "Deleted secrets");
    let may_manage = visit.caller.may(visit.project, Action::ManageSecrets).is_ok();
    Ok(Page(Deleted { frame, may_manage, secrets, refusal, tried }))
}

pub(super) async fn restore(visit: Visit, Post(fields): Post) -> Result<Response, ApiError> {
    let id = fields.one("secret").and_then(|id| id.parse::<SecretId>().ok());
    let id = id.ok_or_else(|| Refusal::invalid("secret", "is no id of a secret"))?;
    let name = fields.one("name").map(str::trim).filter(|name| !name.is_empty());
    match visit.control.restore_secret(&visit.caller, visit.project, id, name).await {
        Ok(item) => Ok(see(&visit.path(&format!("/{}/{id}", path_of(item.kind))))),
        Err(refusal) => {
            let tried = Some((id, name.unwrap_or_default().to_owned()));
            Ok(page(&visit, Some(refusal), tried).await?.into_response())
        }
    }
}

fn kind(secret: &DeletedSecret) -> &'static str {
    if secret.kind == SecretKind::Docker { "Image pull secret" } else { "Secret key" }
}

impl Deleted {
    /// The name field of a row is shown when its own name is taken.
    fn tried_name(&self, secret: &DeletedSecret) -> Option<&str> {
        self.tried.as_ref().filter(|(id, _)| *id == secret.id).map(|(_, name)| name.as_str())
    }
}
