//! The audit: who did what, to what, from where.

use askama::Template;
use axum::{Router, routing::get};
use meshkeep_core::wire;
use serde::Deserialize;

use super::{
    frame::{Frame, Page, Section},
    text::moment,
    visit::Visit,
};
use crate::{error::ApiError, extract::Query, state::WebState};

/// Rows of a page.
const ROWS: u32 = 100;

pub(super) fn router() -> Router<WebState> {
    Router::new().route("/studio/projects/{project}/activity", get(show))
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
