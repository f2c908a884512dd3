//! All services at a glance: where each runs, and how it is there.

use meshkeep_core::{
    Refusal,
    access::Action,
    id::ProjectId,
    name::RoomName,
    page::{Page, Paged},
    service::ServiceSpec,
    workload::WorkloadState,
};

use crate::{Caller, Control, manifest_values, refusals::refused};

/// One service at a glance.
#[derive(Clone, Debug)]
pub struct ServiceOverview {
    /// Its manifest, as it may be shown.
    pub spec: ServiceSpec,
    /// The room whose sessions it runs in; none for those of every room.
    pub room: Option<RoomName>,
    /// Running sessions that have it.
    pub sessions: usize,
    /// Of those, where it is ready, or has done its work and exited with 0.
    pub good: usize,
    /// Of those, where it failed or crashed.
    pub bad: usize,
}

impl Control {
    /// A page of the services of the project and of all its rooms, by name.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn search_services(
        &self,
        caller: &Caller,
        project: ProjectId,
        page: &Page,
    ) -> Result<Paged<ServiceOverview>, Refusal> {
        caller.may(project, Action::ReadServices)?;
        let mut tx = self.store().read("search services").await.map_err(refused)?;
        let found = tx.search_services(project, page).await.map_err(refused)?;
        Ok(found.map(|(service, room)| {
            let states = self.context().live.states_of(service.id);
            let count = |is: fn(&WorkloadState) -> bool| states.iter().filter(|state| is(state)).count();
            ServiceOverview {
                spec: manifest_values::shown(service.spec),
                room,
                sessions: states.len(),
                good: count(|state| matches!(state, WorkloadState::Ready | WorkloadState::Exited { code: 0 })),
                bad: count(
                    |state| matches!(state, WorkloadState::Failed { .. } | WorkloadState::Exited { code: 1.. | ..=-1 }),
                ),
            }
        }))
    }
}
