//! The audit, for admins.

use meshkeep_core::{access::Action, wire};
use serde::Deserialize;

use crate::{
    api::Answer,
    error::ApiError,
    extract::{In, Query},
    route::Route,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/accounts/projects/{project}/audit", list)
            .summary("Who did what: `limit` rows after the place `after`, or the newest ones; in order")
            .needs(Action::ReadAudit)
            .query(&["after", "limit"])
            .answers(200, "AuditList"),
        Route::get("/accounts/projects/{project}/audit/verify", verify)
            .summary("Follow the chain over all rows; names the first that does not fit")
            .needs(Action::ReadAudit)
            .answers(200, "AuditVerified"),
    ]
}

#[derive(Deserialize)]
struct Page {
    after: Option<i64>,
    limit: Option<u32>,
}

async fn list(
    In { control, caller, project }: In,
    Query(Page { after, limit }): Query<Page>,
) -> Result<Answer<wire::AuditList>, ApiError> {
    Ok(Answer::ok(control.audit(&caller, project, after, limit).await?))
}

async fn verify(In { control, caller, project }: In) -> Result<Answer<wire::AuditVerified>, ApiError> {
    Ok(Answer::ok(control.verify_audit(&caller, project).await?))
}
