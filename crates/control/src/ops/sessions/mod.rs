//! Sessions: launch, look, restart one service, read its log, terminate.

mod end;
mod launch;
mod logs;
mod read;
mod restart;
mod show;

pub(crate) use launch::{Launched, starts_with_session};

use meshkeep_core::{
    Refusal,
    id::{ProjectId, ServiceId, SessionId},
};
use meshkeep_store::{Session, Tx, Workload};

use crate::refusals::{not_found, refused};

/// The session of this id.
async fn found(tx: &mut Tx, project: ProjectId, id: SessionId) -> Result<Session, Refusal> {
    tx.session(project, id).await.map_err(refused)?.ok_or_else(|| not_found("session"))
}

/// A session and its workload of a service.
async fn workload(
    tx: &mut Tx,
    project: ProjectId,
    session: SessionId,
    service: ServiceId,
) -> Result<(Session, Workload), Refusal> {
    let session = found(tx, project, session).await?;
    let workloads = tx.workloads(project, session.id).await.map_err(refused)?;
    let workload = workloads.into_iter().find(|workload| workload.service == service);
    Ok((session, workload.ok_or_else(|| not_found("service"))?))
}
