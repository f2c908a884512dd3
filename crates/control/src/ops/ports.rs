//! Ports that services publish: where they are, and for whom.
//!
//! What must stay true: a port that is not published is reached by nobody outside its session; one that is not public
//! only with a participant token of its room. A stranger cannot tell what is not there from what is not for strangers.

use std::net::SocketAddrV4;

use meshkeep_core::{
    Refusal, RefusalKind,
    id::ProjectId,
    name::RoomName,
    service::{PortSpec, PortType},
};
use meshkeep_store::{Session, Workload};

use crate::{
    Control, Origin,
    reconcile::number,
    refusals::{refused, unauthenticated},
};

/// A published port.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Where it listens, on its session's network.
    pub address: SocketAddrV4,
    /// The caller's credential was for meshkeep, and is none of the service's business.
    pub hides_credential: bool,
}

impl Control {
    /// The port of a service, by its id or name, in the room's running session.
    ///
    /// # Errors
    /// `Unauthenticated` without a good token where one is needed; `NotFound`; `Unavailable` while the service does not
    /// run; `Conflict` when several projects publish a port under these names to everybody.
    pub async fn published_port(
        &self,
        room: &RoomName,
        service: &str,
        port: u16,
        token: Option<&str>,
        origin: Origin,
    ) -> Result<Published, Refusal> {
        let participant = match token {
            Some(token) => Some(self.participant(token, room, origin).await),
            None => None,
        };
        let project =
            participant.as_ref().and_then(|admitted| admitted.as_ref().ok()).map(|admitted| admitted.project());
        let found = self.publishers(project, room, service, port).await?;
        match (found.as_slice(), project) {
            ([workload], _) => self.listening(workload, port, project.is_some()),
            ([], Some(_)) => Err(no_port()),
            ([], None) => Err(participant.and_then(Result::err).unwrap_or_else(unauthenticated)),
            _ => Err(ambiguous()),
        }
    }

    /// Workloads that publish it: in a project that the caller may enter, or else to everybody.
    async fn publishers(
        &self,
        project: Option<ProjectId>,
        room: &RoomName,
        service: &str,
        port: u16,
    ) -> Result<Vec<Workload>, Refusal> {
        let mut tx = self.store().read("published port").await.map_err(refused)?;
        let sessions = tx.active_sessions(project).await.map_err(refused)?;
        let mut found = Vec::new();
        for Session { project: owner, id, .. } in sessions.into_iter().filter(|session| session.room_name == *room) {
            let workloads = tx.workloads(owner, id).await.map_err(refused)?;
            found.extend(workloads.into_iter().filter(|workload| {
                let named = workload.service_name.as_str().eq_ignore_ascii_case(service);
                (named || workload.service.to_string() == service)
                    && publishes(workload, port).is_some_and(|spec| project.is_some() || spec.public == Some(true))
            }));
        }
        Ok(found)
    }

    fn listening(&self, workload: &Workload, port: u16, hides_credential: bool) -> Result<Published, Refusal> {
        let seen = self.context().observations.borrow().get(&workload.id).cloned();
        let running = seen.filter(|seen| seen.state == meshkeep_engine::ObservedState::Running);
        let address = running.and_then(|seen| seen.address).ok_or_else(|| {
            let message = format!("the service {} does not run now", workload.service_name);
            Refusal::new(RefusalKind::Unavailable, "not_running", message).hint("look at its state, or try again")
        })?;
        Ok(Published { address: SocketAddrV4::new(address, port), hides_credential })
    }
}

/// The port, when the workload publishes it.
fn publishes(workload: &Workload, port: u16) -> Option<&PortSpec> {
    let is_it = |spec: &&PortSpec| {
        spec.published == Some(true)
            && spec.r#type != Some(PortType::Tcp)
            && number(&workload.spec, spec.num) == Some(port)
    };
    workload.spec.ports.iter().find(is_it)
}

fn no_port() -> Refusal {
    let message = "the room's session has no service that publishes this port";
    Refusal::new(RefusalKind::NotFound, "not_found", message)
        .hint("set `published: true` for the port in the service's manifest, and restart the service")
}

fn ambiguous() -> Refusal {
    let message = "services of several projects publish this port under the same names";
    Refusal::new(RefusalKind::Conflict, "ambiguous", message)
        .hint("name the service by its id, or send a participant token of the room")
}
