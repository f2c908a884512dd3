//! What an admin may know of the server.

use askama::Template;
use axum::extract::State;
use meshkeep_control::Usage;
use meshkeep_core::access::Action;

use super::{
    frame::{Frame, Page, Section},
    pages::{PageNeeds, PageRoute},
    text::{bytes, moment},
    visit::Visit,
};
use crate::{
    error::ApiError,
    state::{Facts, Settings},
};

pub(super) fn pages() -> Vec<PageRoute> {
    vec![PageRoute::at("/studio/projects/{project}/settings").page(PageNeeds::May(Action::ReadAudit), show)]
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Shown {
    frame: Frame,
    facts: Facts,
    usage: Usage,
}

async fn show(State(settings): State<Settings>, visit: Visit) -> Result<Page<Shown>, ApiError> {
    visit.caller.may(visit.project, Action::ReadAudit)?;
    let usage = visit.control.usage().await?;
    Ok(Page(Shown { frame: visit.frame(Section::Settings, "Settings"), facts: settings.facts, usage }))
}
