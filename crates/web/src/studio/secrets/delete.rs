//! Deleting a secret: who uses it is said before.

use askama::Template;
use axum::response::Response;
use meshkeep_core::{access::Action, id::SecretId, name::SecretName, secret::SecretKind, wire::SecretUsage};

use crate::{
    error::ApiError,
    extract::At,
    studio::{
        frame::{Frame, Page, Section, see},
        post::Post,
        visit::Visit,
    },
};

#[derive(Template)]
#[template(path = "secret_delete.html")]
pub(super) struct Delete {
    frame: Frame,
    id: SecretId,
    name: SecretName,
    kind: &'static str,
    usage: SecretUsage,
}

pub(super) fn path_of(kind: SecretKind) -> &'static str {
    if kind == SecretKind::Docker { "pull-secrets" } else { "secrets" }
}

pub(super) async fn ask(visit: Visit, At(id): At<SecretId>) -> Result<Page<Delete>, ApiError> {
    visit.caller.may(visit.project, Action::ManageSecrets)?;
    let item = visit.control.secret(&visit.caller, visit.project, id).await?;
    let usage = visit.control.secret_usage(&visit.caller, visit.project, id).await?;
    let frame = visit.frame(Section::Secrets, &format!("Delete {}", item.name));
    Ok(Page(Delete { frame, id, name: item.name, kind: path_of(item.kind), usage }))
}

pub(super) async fn delete(visit: Visit, At(id): At<SecretId>, Post(fields): Post) -> Result<Response, ApiError> {
    let kind = visit.control.secret(&visit.caller, visit.project, id).await?.kind;
    let force = fields.one("used") == Some("yes");
    visit.control.delete_secret(&visit.caller, visit.project, id, force).await?;
    Ok(see(&visit.path(&format!("/{}", path_of(kind)))))
}
