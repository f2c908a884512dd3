//! API keys. A value is shown once, on the page that answers its making.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_core::{Refusal, RefusalKind, access::Action, access::Role, id::ApiKeyId, wire};

use super::{
    frame::{Frame, Page, Section, see},
    pages::{PageNeeds, PageRoute},
    post::Post,
    text::moment,
    visit::Visit,
};
use crate::error::{ApiError, no_such};

pub(super) fn pages() -> Vec<PageRoute> {
    vec![
        PageRoute::at("/studio/projects/{project}/keys").page(PageNeeds::May(Action::ManageKeys), list).form(create),
        PageRoute::at("/studio/projects/{project}/keys/delete").form(delete),
    ]
}

#[derive(Template)]
#[template(path = "api_keys.html")]
struct ApiKeys {
    frame: Frame,
    keys: Vec<wire::ApiKey>,
    made: Option<wire::ApiKeyCreated>,
    name: String,
    refusal: Option<Refusal>,
}

async fn list(visit: Visit) -> Result<Page<ApiKeys>, ApiError> {
    page(&visit).await.map(Page)
}

async fn create(visit: Visit, Post(fields): Post) -> Result<Response, ApiError> {
    let name = fields.one("name").unwrap_or_default().trim().to_owned();
    let role = fields.one("role").and_then(Role::from_word);
    let wanted = wire::ApiKeyCreate {
        name: name.clone(),
        description: None,
        role: Some(role.ok_or_else(|| Refusal::invalid("role", "is none of the choices"))?),
        bind: Some(fields.one("bind").is_some()),
    };
    match visit.control.create_api_key(&visit.caller, visit.project, wanted).await {
        Ok(made) => Ok(Page(ApiKeys { made: Some(made), ..page(&visit).await? }).into_response()),
        Err(refusal) if refusal.kind == RefusalKind::Invalid => {
            let page = ApiKeys { refusal: Some(refusal), name, ..page(&visit).await? };
            Ok((StatusCode::BAD_REQUEST, Page(page)).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

async fn delete(visit: Visit, Post(fields): Post) -> Result<Response, ApiError> {
    let id: ApiKeyId = fields.one("key").unwrap_or_default().parse().map_err(|_| no_such("API key"))?;
    match visit.control.delete_api_key(&visit.caller, visit.project, id).await {
        Ok(()) => Ok(see(&visit.path("/keys"))),
        Err(refusal) if refusal.kind == RefusalKind::Conflict => {
            let page = ApiKeys { refusal: Some(refusal), ..page(&visit).await? };
            Ok((StatusCode::CONFLICT, Page(page)).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

async fn page(visit: &Visit) -> Result<ApiKeys, ApiError> {
    let keys = visit.control.list_api_keys(&visit.caller, visit.project).await?.keys;
    let frame = visit.frame(Section::Keys, "API keys");
    Ok(ApiKeys { frame, keys, made: None, name: String::new(), refusal: None })
}
