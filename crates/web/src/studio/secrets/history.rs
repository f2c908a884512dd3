//! The versions of a secret, and the way back to one.

use askama::Template;
use axum::response::Response;
use meshkeep_core::{Refusal, access::Action, id::SecretId, name::SecretName, secret::SecretKind, wire};

use crate::{
    error::ApiError,
    extract::At,
    studio::{
        frame::{Frame, Page, Section, see},
        post::Post,
        text::moment,
        visit::Visit,
    },
};

#[derive(Template)]
#[template(path = "secret_history.html")]
pub(super) struct History {
    frame: Frame,
    id: SecretId,
    name: SecretName,
    is_pull: bool,
    may_manage: bool,
    versions: Vec<wire::SecretVersion>,
}

pub(super) async fn show(visit: Visit, At(id): At<SecretId>) -> Result<Page<History>, ApiError> {
    let item = visit.control.secret(&visit.caller, visit.project, id).await?;
    let versions = visit.control.secret_versions(&visit.caller, visit.project, id).await?.versions;
    let frame = visit.frame(Section::Secrets, &format!("History of {}", item.name));
    let may_manage = visit.caller.may(visit.project, Action::ManageSecrets).is_ok();
    Ok(Page(History { frame, id, name: item.name, is_pull: item.kind == SecretKind::Docker, may_manage, versions }))
}

pub(super) async fn roll_back(visit: Visit, At(id): At<SecretId>, Post(fields): Post) -> Result<Response, ApiError> {
    let version = fields.one("version").and_then(|text| text.parse().ok());
    let version = version.ok_or_else(|| Refusal::invalid("version", "must be a number"))?;
    let saved = visit.control.rollback_secret(&visit.caller, visit.project, id, version).await?;
    let kind = if saved.kind == SecretKind::Docker { "pull-secrets" } else { "secrets" };
    Ok(see(&visit.path(&format!("/{kind}/{id}?saved={}&older={}", saved.version, saved.sessions_on_older))))
}
