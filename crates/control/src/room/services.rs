//! The room's services, as a participant sees them.

use meshkeep_core::{
    Refusal, Timestamp,
    access::Action,
    id::{ServiceId, WorkloadId},
    service::ServiceSpec,
};
use meshkeep_store::{Scope, Workload};

use super::Member;
use crate::{manifest_values, refusals::refused};

/// How a service is doing in the session.
#[derive(Clone, Debug)]
pub struct ServiceState {
    /// The service.
    pub service: ServiceId,
    /// Its workload.
    pub container: WorkloadId,
    /// The workload's state in a word.
    pub state: String,
    /// When a crashed one is started again.
    pub restart_at: Option<Timestamp>,
    /// When its process last started.
    pub started_at: Option<Timestamp>,
    /// Restarts after crashes.
    pub restarts: u32,
    /// Of the last exit.
    pub exit_code: Option<i32>,
}

impl Member {
    /// All services of the project and the room, and how those of the session are doing.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn services(&self) -> Result<(Vec<ServiceSpec>, Vec<ServiceState>), Refusal> {
        let project = self.participant.project();
        let listed = self.participant.scope.services.is_some_and(|services| services.list);
        self.participant.may(listed, "services", Action::ReadServices)?;
        let mut tx = self.control.store().read("services of a room").await.map_err(refused)?;
        let mut services = tx.services(project, Scope::Project).await.map_err(refused)?;
        services.extend(tx.services(project, Scope::Room(self.room)).await.map_err(refused)?);
        let workloads = tx.workloads(project, self.session).await.map_err(refused)?;
        let states = workloads.iter().filter(|workload| !is_ad_hoc(workload)).map(|workload| self.state(workload));
        Ok((services.into_iter().map(|service| manifest_values::shown(service.spec)).collect(), states.collect()))
    }

    /// Restarts a service of the session, with its newest manifest and versions.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`; why it cannot be started anew.
    pub async fn restart_service(&self, service: &str) -> Result<(), Refusal> {
        self.participant.may(self.participant.scope.services.is_some(), "services", Action::RunSessions)?;
        let id = service.parse().map_err(|_| no_service())?;
        let (caller, project) = (&self.participant.caller, self.participant.project());
        let restarted = self.control.restart_service(caller, project, self.session, id).await;
        restarted.map_err(|refusal| if refusal.code == "not_found" { no_service() } else { refusal })
    }

    fn state(&self, workload: &Workload) -> ServiceState {
        let live = self.control.context().live.get(workload.id);
        let state = live.as_ref().map_or(&workload.state, |live| &live.state).as_str().to_owned();
        ServiceState {
            service: workload.service,
            container: workload.id,
            state,
            restart_at: live.as_ref().and_then(|live| live.restart_at),
            started_at: live.as_ref().map_or(workload.started_at, |live| live.started_at),
            restarts: live.as_ref().map_or(workload.restarts, |live| live.restarts),
            exit_code: live.as_ref().map_or(workload.exit_code, |live| live.exit_code),
        }
    }
}

pub(super) fn is_ad_hoc(workload: &Workload) -> bool {
    workload.asked.as_ref().is_some_and(|asked| asked.ad_hoc)
}

pub(super) fn no_service() -> Refusal {
    Refusal::new(meshkeep_core::RefusalKind::NotFound, "service_not_found", "the session runs no such service")
        .hint("list the services")
}
