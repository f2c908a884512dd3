//! All services at a glance.

use askama::Template;
use meshkeep_control::ServiceOverview;
use meshkeep_core::{access::Action, page::Page as Part};
use serde::Deserialize;

use crate::{
    error::ApiError,
    extract::Query,
    studio::{
        frame::{Frame, Page, Section},
        text::{Paging, ROWS},
        visit::Visit,
    },
};

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    from: u32,
}

#[derive(Template)]
#[template(path = "services.html")]
pub(super) struct Services {
    frame: Frame,
    may_manage: bool,
    rows: Vec<ServiceOverview>,
    paging: Paging,
}

impl Services {
    /// Class and words of how it is where it runs.
    fn health(row: &ServiceOverview) -> (&'static str, String) {
        match (row.sessions, row.good, row.bad) {
            (0, ..) => ("still", "not running".to_owned()),
            (_, _, bad @ 1..) => ("bad", format!("failed in {bad}")),
            (all, good, _) if good == all => ("good", "ready".to_owned()),
            (..) => ("busy", "starting".to_owned()),
        }
    }

    /// The page of a service.
    fn path(&self, row: &ServiceOverview) -> String {
        let id = row.spec.id.as_deref().unwrap_or_default();
        match &row.room {
            Some(room) => format!("{}/rooms/{room}/services/{id}", self.frame.base()),
            None => format!("{}/services/{id}", self.frame.base()),
        }
    }
}

pub(super) async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Page<Services>, ApiError> {
    let part = Part { query: asked.q.clone(), limit: ROWS as u32, offset: asked.from };
    let found = visit.control.search_services(&visit.caller, visit.project, &part).await?;
    let total = usize::try_from(found.total).unwrap_or(usize::MAX);
    let paging = Paging { query: asked.q, from: asked.from as usize, total };
    let frame = visit.frame(Section::Services, "Services");
    let may_manage = visit.caller.may(visit.project, Action::ManageServices).is_ok();
    Ok(Page(Services { frame, may_manage, rows: found.items, paging }))
}
