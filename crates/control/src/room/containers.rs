//! The session's containers, as a participant sees them: listing, logs, stopping, deleting.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::{ServiceId, WorkloadId},
    workload::WorkloadState,
};
use meshkeep_store::{Asked, Workload};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Member, services::is_ad_hoc};
use crate::{
    reconcile::{GRACE, ending},
    refusals::refused,
};

/// A container of the session.
#[derive(Clone, Debug)]
pub struct Container {
    /// The workload's id.
    pub id: WorkloadId,
    /// The image, as its manifest names it.
    pub image: String,
    /// The service's name, or its own.
    pub name: String,
    /// The state in a word.
    pub status: String,
    /// Whether a process runs, is on its way, or has ended.
    pub stage: Stage,
    /// Nobody but its owner may look into it.
    pub private: bool,
    /// Of which service; none for one that a participant runs by itself.
    pub service: Option<ServiceId>,
    /// Id and name of who started it.
    pub started_by: (String, String),
    /// Numbers of its ports that are stated.
    pub ports: Vec<u16>,
}

/// The three stages that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not running yet.
    Created,
    /// A process runs.
    Running,
    /// It has ended.
    Exited,
}

impl Member {
    /// The session's containers; `all` also those that have ended.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn containers(&self, all: bool) -> Result<Vec<Container>, Refusal> {
        self.use_containers(Action::ReadServices)?;
        let workloads = self.workloads().await?;
        let shown = workloads.into_iter().map(|workload| self.shown(workload));
        Ok(shown.filter(|container| all || container.stage != Stage::Exited).collect())
    }

    /// A container's log: what there is, then, with `follow`, what comes until it ends or `until` is cancelled.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`.
    pub async fn container_logs(
        &self,
        id: &str,
        follow: bool,
        until: CancellationToken,
    ) -> Result<BoxStream<'static, Result<Bytes, Refusal>>, Refusal> {
        let allowed = self.participant.scope.containers.as_ref();
        let allowed = allowed.is_some_and(|containers| containers.use_containers && containers.logs);
        self.participant.may(allowed, "containers", Action::ReadLogs)?;
        let workload = self.workload(id).await?;
        let lines = self.control.workload_logs(workload.id, None, follow).await?;
        Ok(Box::pin(futures_util::StreamExt::take_until(lines, until.cancelled_owned())))
    }

    /// Ends a container's process, at once with `force`. A service's stays ended until it is restarted.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`.
    pub async fn stop_container(&self, id: &str, force: bool) -> Result<(), Refusal> {
        self.use_containers(Action::RunSessions)?;
        let workload = self.workload(id).await?;
        self.record("container.stopped", "container.stop", &workload).await?;
        let commands = self.control.drivers().lock().await.of(workload.id).ok_or_else(ending)?;
        commands.halt(if force { std::time::Duration::ZERO } else { GRACE }).await
    }

    /// Forgets a container that has ended, with its log. A service's stays with its session.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`; `Conflict` for one that runs, or that belongs to the session.
    pub async fn delete_container(&self, id: &str) -> Result<(), Refusal> {
        self.use_containers(Action::RunSessions)?;
        let workload = self.workload(id).await?;
        let conflict = |message| Refusal::new(RefusalKind::Conflict, "in_use", message);
        if workload.asked.is_none() {
            return Err(conflict("the container belongs to a service of the session")
                .hint("delete the service, or terminate the session"));
        }
        if self.stage(&workload).1 != Stage::Exited {
            return Err(conflict("the container has not ended").hint("stop it first"));
        }
        let control = self.control.clone();
        let (caller, session) = (self.participant.caller.clone(), self.session);
        self.control
            .to_its_end(async move {
                let mut drivers = control.drivers().lock().await;
                let mut tx = control.store().write("delete container").await.map_err(refused)?;
                tx.forget_workload(workload.id).await.map_err(refused)?;
                let others = tx.workloads(caller.project(), session).await.map_err(refused)?;
                tx.audit(&caller.audited("container.delete", format!("{session} container {}", workload.id)))
                    .await
                    .map_err(refused)?;
                tx.commit().await.map_err(refused)?;
                let gone = drivers.take_one(workload.id);
                drivers.meet(session, &others);
                drop(drivers);
                gone.finish().await;
                Ok(())
            })
            .await
    }

    /// Waits for the end of a container's process; its exit code.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`; why it could not start.
    pub async fn wait_for_exit(&self, id: &str) -> Result<i32, Refusal> {
        self.use_containers(Action::ReadServices)?;
        let id = self.workload(id).await?.id;
        let mut changes = self.control.changes();
        loop {
            changes.mark_unchanged();
            match self.control.context().live.get(id).ok_or_else(no_container)? {
                live if matches!(live.state, WorkloadState::Exited { .. } | WorkloadState::Stopped) => {
                    return Ok(live.exit_code.unwrap_or_default());
                }
                live => {
                    if let WorkloadState::Failed { reason } = live.state {
                        return Err(reason);
                    }
                }
            }
            if changes.changed().await.is_err() {
                return Err(ending());
            }
        }
    }

    /// Both the token and its signer allow it.
    pub(super) fn use_containers(&self, action: Action) -> Result<(), Refusal> {
        let allowed = self.participant.scope.containers.as_ref().is_some_and(|containers| containers.use_containers);
        self.participant.may(allowed, "containers", action)
    }

    pub(super) async fn workloads(&self) -> Result<Vec<Workload>, Refusal> {
        let mut tx = self.control.store().read("containers of a room").await.map_err(refused)?;
        tx.workloads(self.participant.project(), self.session).await.map_err(refused)
    }

    pub(super) async fn workload(&self, id: &str) -> Result<Workload, Refusal> {
        let id: WorkloadId = id.parse().map_err(|_| no_container())?;
        self.workloads().await?.into_iter().find(|workload| workload.id == id).ok_or_else(no_container)
    }

    pub(super) fn stage(&self, workload: &Workload) -> (WorkloadState, Stage) {
        let live = self.control.context().live.get(workload.id);
        let state = live.map_or_else(|| workload.state.clone(), |live| live.state);
        let stage = match state {
            WorkloadState::Pending | WorkloadState::Pulling | WorkloadState::Starting => Stage::Created,
            WorkloadState::Running | WorkloadState::Ready => Stage::Running,
            WorkloadState::Exited { .. } | WorkloadState::Failed { .. } | WorkloadState::Stopped => Stage::Exited,
        };
        (state, stage)
    }

    /// The session's event and the audit's row of what is done to a container.
    pub(super) async fn record(&self, event: &str, action: &str, workload: &Workload) -> Result<(), Refusal> {
        let caller = &self.participant.caller;
        let mut tx = self.control.store().write("container").await.map_err(refused)?;
        let data = json!({"by": caller.actor(), "service": workload.service_name, "workload_id": workload.id});
        tx.add_event(self.session, event, &data).await.map_err(refused)?;
        let object = format!("{} container {}", self.session, workload.id);
        tx.audit(&caller.audited(action, object)).await.map_err(refused)?;
        tx.commit().await.map_err(refused)
    }

    fn shown(&self, workload: Workload) -> Container {
        let (state, stage) = self.stage(&workload);
        let ad_hoc = is_ad_hoc(&workload);
        let Workload { id, service, service_name, spec, asked, .. } = workload;
        let container = spec.container.as_ref();
        Container {
            id,
            image: container.map(|container| container.image.clone()).unwrap_or_default(),
            name: service_name.into(),
            status: state.as_str().to_owned(),
            stage,
            private: container.is_none_or(|container| container.private.unwrap_or(true)),
            service: (!ad_hoc).then_some(service),
            started_by: asked.map_or_else(
                || (self.session.to_string(), "meshkeep".to_owned()),
                |Asked { participant, name, .. }| (participant, name),
            ),
            ports: spec.ports.iter().filter_map(|port| port.num.stated()).collect(),
        }
    }
}

pub(super) fn no_container() -> Refusal {
    Refusal::new(RefusalKind::NotFound, "container_not_found", "the session has no such container")
        .hint("list the containers")
}
