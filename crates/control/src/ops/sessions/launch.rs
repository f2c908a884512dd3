//! Launching a room's session: planned and recorded in one transaction, then each workload goes its own way.

use std::sync::Arc;

use meshkeep_core::{
    Refusal,
    access::Action,
    id::{ProjectId, SessionId, WorkloadId},
    name::RoomName,
    plan, wire,
    workload::WorkloadState,
};
use meshkeep_store::{Room, Scope, Service, Tx, Workload};
use serde_json::json;

use super::show;
use crate::{
    Caller, Control,
    ops::rooms,
    reconcile::{Launch, Recipe, peers},
    refusals::refused,
};

impl Control {
    /// Launches the room's session and answers as soon as it is recorded; the running one, and `false`, when there is one.
    ///
    /// # Errors
    /// `NotFound` for the room; services that cannot be in one session.
    pub async fn launch_session(
        &self,
        caller: &Caller,
        project: ProjectId,
        room: RoomName,
    ) -> Result<(wire::Session, bool), Refusal> {
        caller.may(project, Action::RunSessions)?;
        let (control, caller) = (self.clone(), caller.clone());
        self.to_its_end(async move { control.launch(&caller, project, &room).await }).await
    }

    async fn launch(
        &self,
        caller: &Caller,
        project: ProjectId,
        room: &RoomName,
    ) -> Result<(wire::Session, bool), Refusal> {
        let mut drivers = self.drivers().lock().await;
        let mut tx = self.store().write("launch session").await.map_err(refused)?;
        let room = rooms::named(&mut tx, project, room).await?;
        if let Some(session) = tx.active_session_of(room.id).await.map_err(refused)? {
            return Ok((show::whole(&mut tx, &self.context().live, session).await.map_err(refused)?, false));
        }
        let planned = plan(&mut tx, project, &room).await?;
        let session = tx.create_session(project, &room).await.map_err(refused)?;
        let mut workloads = Vec::with_capacity(planned.len());
        for mut workload in planned {
            workload.session = session.id;
            tx.create_workload(project, &mut workload).await.map_err(refused)?;
            workloads.push(workload);
        }
        let services: Vec<_> = workloads.iter().map(|workload| &workload.service_name).collect();
        let data = json!({"by": caller.actor(), "services": services});
        tx.add_event(session.id, "session.launched", &data).await.map_err(refused)?;
        tx.audit(&caller.audited("session.launch", session.id.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;

        let peers = peers(&workloads);
        for workload in &workloads {
            drivers.start(Launch::recorded(&session, workload.clone(), Arc::clone(&peers)));
        }
        drop(drivers);
        Ok((show::session(&self.context().live, session, Some(workloads), None), true))
    }
}

/// The project's services, then the room's, as workloads that are not recorded yet.
async fn plan(tx: &mut Tx, project: ProjectId, room: &Room) -> Result<Vec<Workload>, Refusal> {
    let mut services = tx.services(project, Scope::Project).await.map_err(refused)?;
    services.extend(tx.services(project, Scope::Room(room.id)).await.map_err(refused)?);
    services.retain(starts_with_session);
    let places = plan::places(services.iter().map(|service| &service.name))?;
    let mut planned = Vec::with_capacity(services.len());
    for (service, (service_name, place)) in services.into_iter().zip(places) {
        let (recipe, missing) = Recipe::newest(tx, project, service.spec).await.map_err(refused)?;
        planned.push(Workload {
            id: WorkloadId::from_uuid(service.id.as_uuid()),
            session: SessionId::from_uuid(room.id.as_uuid()),
            service: service.id,
            service_name,
            place,
            spec: recipe.spec,
            secrets: recipe.secrets,
            pull_secret: recipe.pull_secret,
            state: missing.map_or(WorkloadState::Pending, |reason| WorkloadState::Failed { reason }),
            image: None,
            attempt: 0,
            restarts: 0,
            exit_code: None,
            started_at: None,
        });
    }
    Ok(planned)
}

/// What is hosted elsewhere, or only started when asked for, is not.
fn starts_with_session(service: &Service) -> bool {
    service.spec.container.as_ref().is_some_and(|container| container.on_demand != Some(true))
}
