//! A service's log, as the engine keeps it while the session runs.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use meshkeep_core::{
    Refusal,
    access::Action,
    id::{ProjectId, ServiceId, SessionId, WorkloadId},
};
use meshkeep_engine::{EngineError, LogStream};

use super::workload;
use crate::{
    Caller, Control,
    refusals::{internal, refused},
};

impl Control {
    /// The last `tail` lines (all when `None`), then, with `follow`, what comes until the workload ends for good.
    /// What was never started has written nothing; a follower waits for its start.
    ///
    /// # Errors
    /// `NotFound` for session or service.
    pub async fn service_logs(
        &self,
        caller: &Caller,
        project: ProjectId,
        session: SessionId,
        service: ServiceId,
        tail: Option<usize>,
        follow: bool,
    ) -> Result<BoxStream<'static, Result<Bytes, Refusal>>, Refusal> {
        caller.may(project, Action::ReadLogs)?;
        let mut tx = self.store().read("service logs").await.map_err(refused)?;
        let (_, workload) = workload(&mut tx, project, session, service).await?;
        drop(tx);
        self.workload_logs(workload.id, tail, follow).await
    }

    /// The same of a workload, for who may.
    pub(crate) async fn workload_logs(
        &self,
        id: WorkloadId,
        tail: Option<usize>,
        follow: bool,
    ) -> Result<BoxStream<'static, Result<Bytes, Refusal>>, Refusal> {
        if let Some(lines) = self.lines(id, tail, follow).await? {
            return Ok(shown(lines));
        }
        if !follow {
            return Ok(stream::empty().boxed());
        }
        let control = self.clone();
        let later = async move { control.first_lines(id, tail).await };
        Ok(stream::once(later).try_flatten().boxed())
    }

    /// `None` when the engine has nothing of the workload.
    async fn lines(&self, id: WorkloadId, tail: Option<usize>, follow: bool) -> Result<Option<LogStream>, Refusal> {
        match self.context().parts.engine.logs(id, tail, follow).await {
            Ok(lines) => Ok(Some(lines)),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Waits until the engine has the workload, or until its session is over.
    async fn first_lines(
        &self,
        id: WorkloadId,
        tail: Option<usize>,
    ) -> Result<BoxStream<'static, Result<Bytes, Refusal>>, Refusal> {
        let (mut states, mut observations) = (self.changes(), self.context().observations.clone());
        loop {
            states.mark_unchanged();
            observations.mark_unchanged();
            if let Some(lines) = self.lines(id, tail, true).await? {
                return Ok(shown(lines));
            }
            if self.context().live.get(id).is_none() {
                return Ok(stream::empty().boxed());
            }
            let changed = tokio::select! {
                changed = states.changed() => changed,
                changed = observations.changed() => changed,
            };
            if changed.is_err() {
                return Ok(stream::empty().boxed());
            }
        }
    }
}

fn shown(lines: LogStream) -> BoxStream<'static, Result<Bytes, Refusal>> {
    lines.map_ok(|chunk| Bytes::from(chunk.bytes)).map_err(unreadable).boxed()
}

fn unreadable(error: EngineError) -> Refusal {
    match error {
        EngineError::Rejected(refusal) | EngineError::Unavailable(refusal) => refusal,
        error => internal("the log could not be read", &error),
    }
}
