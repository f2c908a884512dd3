//! Restarting one service by hand: the newest manifest and versions, and a fresh proof of the image with them.
//!
//! What must stay true: until the proof is made and recorded, what runs goes on running.

use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::{ProjectId, ServiceId, SessionId, WorkloadId},
};
use meshkeep_store::{Scope, Session, Tx, Workload};
use serde_json::json;

use super::workload;
use crate::{
    Caller, Control,
    caller::By,
    reconcile::{Fetched, Recipe, Relaunch, ending},
    refusals::refused,
};

impl Control {
    /// Restarts a service of a running session; returns when that is recorded.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when the session is over or the service was deleted; why its image cannot be had.
    pub async fn restart_service(
        &self,
        caller: &Caller,
        project: ProjectId,
        session: SessionId,
        service: ServiceId,
    ) -> Result<(), Refusal> {
        caller.may(project, Action::RunSessions)?;
        let (control, by) = (self.clone(), caller.by());
        self.to_its_end(async move { control.restart(&by, session, service).await }).await
    }

    /// The same in the name of somebody who may.
    pub(crate) async fn restart(&self, by: &By, session: SessionId, service: ServiceId) -> Result<(), Refusal> {
        let project = by.project;
        let mut tx = self.store().read("plan restart").await.map_err(refused)?;
        let (session, workload) = workload(&mut tx, project, session, service).await?;
        not_over(&session)?;
        let recipe = newest(&mut tx, project, &session, service).await?;
        drop(tx);
        let image = self.proven(workload.id, &recipe).await?;
        let drivers = self.drivers().lock().await;
        let commands = drivers.of(workload.id).ok_or_else(ending)?;
        self.record_restart(by, &session, &workload).await?;
        drop(drivers);
        commands.relaunch(Relaunch { recipe, image }).await
    }

    async fn proven(&self, id: WorkloadId, recipe: &Recipe) -> Result<Fetched, Refusal> {
        let context = self.context();
        let fetched = tokio::select! {
            fetched = context.fetch(recipe, context.live.progress(id)) => fetched,
            () = context.stopping.cancelled() => Err(ending()),
        };
        context.live.end_progress(id);
        fetched
    }

    async fn record_restart(&self, by: &By, session: &Session, workload: &Workload) -> Result<(), Refusal> {
        let mut tx = self.store().write("restart service").await.map_err(refused)?;
        let now = super::found(&mut tx, session.project, session.id).await?;
        not_over(&now)?;
        let Workload { service, service_name, .. } = workload;
        let data = json!({"by": by.actor, "service": service_name, "service_id": service});
        tx.add_event(session.id, "service.restarted", &data).await.map_err(refused)?;
        let object = format!("{} service {service}", session.id);
        tx.audit(&by.audited("session.restart", object)).await.map_err(refused)?;
        tx.commit().await.map_err(refused)
    }
}

/// The service as it is saved now, in its project or the session's room.
async fn newest(tx: &mut Tx, project: ProjectId, session: &Session, id: ServiceId) -> Result<Recipe, Refusal> {
    let mut found = tx.service(project, Scope::Project, id).await.map_err(refused)?;
    if let (None, Some(room)) = (&found, session.room) {
        found = tx.service(project, Scope::Room(room), id).await.map_err(refused)?;
    }
    let service = found.ok_or_else(|| {
        let message = "the service was deleted; what runs of it ends with the session";
        Refusal::new(RefusalKind::Conflict, "service_deleted", message)
    })?;
    match Recipe::newest(tx, project, service.spec).await.map_err(refused)? {
        (recipe, None) => Ok(recipe),
        (_, Some(missing)) => Err(missing),
    }
}

fn not_over(session: &Session) -> Result<(), Refusal> {
    match session.ended_at {
        None => Ok(()),
        Some(at) => Err(Refusal::new(RefusalKind::Conflict, "session_over", format!("the session ended at {at}"))
            .hint("launch the room's next session; it uses the newest versions")),
    }
}
