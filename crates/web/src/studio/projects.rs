//! The operator's list of projects, and where a visitor begins.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use meshkeep_control::Caller;
use meshkeep_core::{Refusal, access::Action, wire};

use super::{
    frame::{Frame, Page, base, see},
    pages::{PageNeeds, PageRoute},
    post::Post,
    visit::Signed,
};
use crate::error::ApiError;

pub(super) fn pages() -> Vec<PageRoute> {
    vec![
        PageRoute::at("/studio").page(PageNeeds::Visitor, home),
        PageRoute::at("/studio/projects").page(PageNeeds::Visitor, list).form(create),
    ]
}

#[derive(Template)]
#[template(path = "projects.html")]
struct Projects {
    frame: Frame,
    projects: Vec<wire::Project>,
    name: String,
    refusal: Option<Refusal>,
}

/// To the services of the one project that a visitor has, or to the choice.
pub(super) async fn home(signed: Signed) -> Result<Response, ApiError> {
    let projects = signed.control.visitor_projects(&signed.visitor).await?;
    match projects.as_slice() {
        [only] => {
            Ok(see(&format!("{}{}", base(only.id), first_page(&signed.control.visit(&signed.visitor, only.id).await?))))
        }
        _ => Ok(see("/studio/projects")),
    }
}

/// The first page of a project that the visitor may see.
pub(super) fn first_page(caller: &Caller) -> &'static str {
    if caller.may(caller.project(), Action::ReadServices).is_ok() { "/services" } else { "/sessions" }
}

async fn list(signed: Signed) -> Result<Page<Projects>, ApiError> {
    let projects = signed.control.visitor_projects(&signed.visitor).await?;
    Ok(Page(Projects { frame: signed.frame("Projects"), projects, name: String::new(), refusal: None }))
}

async fn create(signed: Signed, Post(fields): Post) -> Result<Response, ApiError> {
    let name = fields.one("name").unwrap_or_default();
    match signed.control.create_project(&signed.visitor, name).await {
        Ok(project) => Ok(see(&format!("{}/services", base(project.id)))),
        Err(refusal) if !refusal.field.is_empty() => {
            let projects = signed.control.visitor_projects(&signed.visitor).await?;
            let frame = signed.frame("Projects");
            let page = Page(Projects { frame, projects, name: name.to_owned(), refusal: Some(refusal) });
            Ok((StatusCode::BAD_REQUEST, page).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}
