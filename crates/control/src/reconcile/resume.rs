//! The start of the server: running sessions go on, and what ended ones left in the engine is removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshkeep_core::{
    Refusal,
    id::{SessionId, WorkloadId},
};
use meshkeep_store::{Session, StoreError, Workload};
use tokio_util::task::TaskTracker;

use super::{Context, Drivers, Launch};
use crate::refusals::{chain, refused};

/// Starts a driver for every workload of a running session.
///
/// # Errors
/// When the store refuses.
pub(crate) async fn resume(context: &Arc<Context>, drivers: &mut Drivers, tasks: &TaskTracker) -> Result<(), Refusal> {
    let running = recorded(context).await.map_err(refused)?;
    let wanted: BTreeSet<WorkloadId> =
        running.iter().flat_map(|(_, workloads)| workloads).map(|workload| workload.id).collect();
    let sessions: BTreeSet<SessionId> = running.iter().map(|(session, _)| session.id).collect();
    let mut leftovers = BTreeMap::<SessionId, Vec<WorkloadId>>::new();
    for seen in context.observations.borrow().values().filter(|seen| !wanted.contains(&seen.id)) {
        leftovers.entry(seen.session).or_default().push(seen.id);
    }
    if !leftovers.is_empty() {
        tasks.spawn(clean(Arc::clone(context), leftovers, sessions));
    }
    for (session, workloads) in running {
        drivers.meet(session.id, &workloads);
        for workload in workloads {
            drivers.start(Launch::recorded(&session, workload));
        }
    }
    Ok(())
}

async fn recorded(context: &Context) -> Result<Vec<(Session, Vec<Workload>)>, StoreError> {
    let mut tx = context.parts.store.read("resume").await?;
    let mut running = Vec::new();
    for session in tx.active_sessions(None).await? {
        let workloads = tx.workloads(session.project, session.id).await?;
        running.push((session, workloads));
    }
    Ok(running)
}

/// Ends what no running session wants.
async fn clean(context: Arc<Context>, leftovers: BTreeMap<SessionId, Vec<WorkloadId>>, running: BTreeSet<SessionId>) {
    for (session, workloads) in leftovers {
        tracing::info!(%session, workloads = workloads.len(), "removing what a session left behind");
        let cleared = futures_util::future::join_all(workloads.into_iter().map(|id| context.clear(id))).await;
        if cleared.iter().all(Result::is_ok) && !running.contains(&session) {
            context.release(session).await;
        }
    }
}

impl Context {
    /// Releases what a session's workloads shared.
    pub(super) async fn release(&self, session: SessionId) {
        if let Err(error) = self.parts.engine.remove_session(session).await {
            tracing::error!(%session, error = %chain(&error), "what a session shared could not be released");
        }
    }
}
