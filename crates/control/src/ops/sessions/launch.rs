//! Launching a room's session: planned and recorded in one transaction, then each workload goes its own way.

use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::{ProjectId, SessionId},
    name::RoomName,
    plan, wire,
};
use meshkeep_store::{Room, Scope, Service, Session, Tx, Workload};
use serde_json::json;

use super::show;
use crate::{
    Caller, Control,
    ops::rooms,
    reconcile::{Drivers, Launch, Recipe},
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
            if !session.explicit {
                keep(&mut tx, caller, session.id).await?;
            }
            let shown = show::whole(&mut tx, self.context(), session).await.map_err(refused)?;
            tx.commit().await.map_err(refused)?;
            return Ok((shown, false));
        }
        let launched = Launched::record(&mut tx, project, &room, true, caller).await?;
        let workloads = launched.workloads.clone();
        let session = launched.drive(&mut drivers, tx).await?;
        drop(drivers);
        Ok((show::session(self.context(), session, Some(workloads), None), true))
    }
}

/// A session that participants began stays from now on until it is terminated.
async fn keep(tx: &mut Tx, caller: &Caller, id: SessionId) -> Result<(), Refusal> {
    tx.keep_session(id).await.map_err(refused)?;
    tx.add_event(id, "session.kept", &json!({"by": caller.actor()})).await.map_err(refused)?;
    tx.audit(&caller.audited("session.launch", id.to_string())).await.map_err(refused)
}

/// A session that is recorded and not committed yet.
pub(crate) struct Launched {
    session: Session,
    workloads: Vec<Workload>,
    /// Hosted elsewhere.
    elsewhere: Vec<Service>,
}

impl Launched {
    /// Plans and records a room's session, in the name of who begins it.
    ///
    /// # Errors
    /// Services that cannot be in one session.
    pub(crate) async fn record(
        tx: &mut Tx,
        project: ProjectId,
        room: &Room,
        explicit: bool,
        caller: &Caller,
    ) -> Result<Self, Refusal> {
        let (planned, elsewhere) = plan(tx, project, room).await?;
        let session = tx.create_session(project, room, explicit).await.map_err(refused)?;
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
        Ok(Self { session, workloads, elsewhere })
    }

    /// Makes it durable, then starts a driver for each workload.
    ///
    /// # Errors
    /// When the store refuses; nothing was begun then.
    pub(crate) async fn drive(self, drivers: &mut Drivers, tx: Tx) -> Result<Session, Refusal> {
        tx.commit().await.map_err(refused)?;
        drivers.meet(self.session.id, &self.workloads);
        for workload in self.workloads {
            drivers.start(Launch::recorded(&self.session, workload));
        }
        drivers.call_elsewhere(&self.session, self.elsewhere);
        Ok(self.session)
    }
}

/// The project's services, then the room's, as workloads that are not recorded yet; and those that are hosted elsewhere.
async fn plan(tx: &mut Tx, project: ProjectId, room: &Room) -> Result<(Vec<Workload>, Vec<Service>), Refusal> {
    let mut services = tx.services(project, Scope::Project).await.map_err(refused)?;
    services.extend(tx.services(project, Scope::Room(room.id)).await.map_err(refused)?);
    let (elsewhere, mut services): (Vec<_>, Vec<_>) =
        services.into_iter().partition(|service| service.spec.external.is_some());
    services.retain(starts_with_session);
    let places = plan::places(services.iter().map(|service| &service.name))?;
    let mut planned = Vec::with_capacity(services.len());
    for (service, (service_name, place)) in services.into_iter().zip(places) {
        let damaged = service.damaged.then(|| damaged(&service));
        let (recipe, missing) = Recipe::newest(tx, project, service.spec).await.map_err(refused)?;
        let missing = damaged.or(missing);
        // The session gets its id with it.
        let session = SessionId::from_uuid(room.id.as_uuid());
        planned.push(recipe.workload(session, (service.id, service_name), place, missing));
    }
    Ok((planned, elsewhere))
}

/// The refusal of a service whose row does not open.
fn damaged(service: &Service) -> Refusal {
    let message = format!("the service {} is damaged in the database", service.name);
    Refusal::new(RefusalKind::Invalid, "damaged", message)
        .hint("`meshkeep doctor` says more; restore a backup, or let `doctor --accept` remove it and make it anew")
}

/// What is hosted elsewhere, or only started when asked for, is not.
pub(crate) fn starts_with_session(service: &Service) -> bool {
    service.spec.container.as_ref().is_some_and(|container| container.on_demand != Some(true))
}
