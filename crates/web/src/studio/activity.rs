//! The audit: who did what, to what, from where.

use askama::Template;
use meshkeep_core::{access::Action, wire};
use serde::Deserialize;

use super::{
    frame::{Frame, Page, Section},
    pages::{PageNeeds, PageRoute},
    text::moment,
    visit::Visit,
};
use crate::{error::ApiError, extract::Query};

/// Rows of a page.
const ROWS: u32 = 60;

pub(super) fn pages() -> Vec<PageRoute> {
    vec![PageRoute::at("/studio/projects/{project}/activity").page(PageNeeds::May(Action::ReadAudit), show)]
}

#[derive(Deserialize)]
struct Asked {
    /// Rows before this place.
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "activity.html")]
struct Activity {
    frame: Frame,
    /// Newest first.
    rows: Vec<wire::AuditRow>,
    /// Where the rows before these end.
    before: Option<i64>,
}

async fn show(visit: Visit, Query(Asked { before }): Query<Asked>) -> Result<Page<Activity>, ApiError> {
    let mut rows = visit.control.audit_before(&visit.caller, visit.project, before, ROWS).await?.rows;
    rows.reverse();
    let before = rows.last().map(|row| row.seq).filter(|_| rows.len() == ROWS as usize);
    Ok(Page(Activity { frame: visit.frame(Section::Activity, "Activity"), rows, before }))
}
