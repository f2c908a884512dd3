//! The two tabs of secrets.

use askama::Template;
use meshkeep_core::{
    access::Action,
    secret::SecretKind,
    wire::{SecretDetail, SecretItem},
};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::Query,
    studio::{
        frame::{Frame, Page, Section},
        text::{Paging, ROWS, moment},
        visit::Visit,
    },
};

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    from: usize,
}

/// A row.
struct Row {
    item: SecretItem,
    detail: SecretDetail,
}

#[derive(Template)]
#[template(path = "secrets.html")]
pub(super) struct Secrets {
    frame: Frame,
    is_pull: bool,
    may_manage: bool,
    rows: Vec<Row>,
    paging: Paging,
}

pub(super) async fn keys(visit: Visit, Query(asked): Query<Asked>) -> Result<Page<Secrets>, ApiError> {
    list(&visit, SecretKind::Keys, asked).await
}

pub(super) async fn pull(visit: Visit, Query(asked): Query<Asked>) -> Result<Page<Secrets>, ApiError> {
    list(&visit, SecretKind::Docker, asked).await
}

async fn list(visit: &Visit, kind: SecretKind, asked: Asked) -> Result<Page<Secrets>, ApiError> {
    let query = asked.q.trim().to_lowercase();
    let all = visit.control.list_secrets(&visit.caller, visit.project, true).await?.secrets;
    let mut rows: Vec<Row> = all
        .into_iter()
        .filter(|item| item.kind == kind)
        .filter(|item| holds(item, &query))
        .filter_map(|mut item| item.detail.take().map(|detail| Row { item, detail }))
        .collect();
    let paging = Paging { query: asked.q, from: asked.from, total: rows.len() };
    rows = rows.into_iter().skip(asked.from).take(ROWS).collect();
    let frame = visit.frame(Section::Secrets, "Secrets");
    let may_manage = visit.caller.may(visit.project, Action::ManageSecrets).is_ok();
    Ok(Page(Secrets { frame, is_pull: kind == SecretKind::Docker, may_manage, rows, paging }))
}

/// By its own name or by that of an entry; a pull secret also by its registry.
fn holds(item: &SecretItem, query: &str) -> bool {
    let holds = |text: &str| text.to_lowercase().contains(query);
    query.is_empty()
        || holds(item.name.as_str())
        || match item.kind {
            SecretKind::Keys => item.data.keys().any(|name| holds(name)),
            SecretKind::Docker => item.data.get("server").is_some_and(|server| holds(server)),
        }
}
