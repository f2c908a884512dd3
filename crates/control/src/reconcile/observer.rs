//! Asks the engine what it has whenever that changed, once for all drivers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use meshkeep_core::{Refusal, id::WorkloadId};
use meshkeep_engine::{Engine, EngineError, Observed};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::refusals::{chain, internal};

/// What the engine has, by workload.
pub(crate) type Observations = Arc<HashMap<WorkloadId, Observed>>;

/// Before an engine that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The one task that asks.
pub(crate) struct Observer {
    engine: Arc<dyn Engine>,
    changes: watch::Receiver<u64>,
    seen: watch::Sender<Observations>,
}

impl Observer {
    /// Asks for the first time.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(crate) async fn start(engine: Arc<dyn Engine>) -> Result<(Self, watch::Receiver<Observations>), Refusal> {
        let mut changes = engine.changes();
        changes.mark_unchanged();
        let first = observe(&*engine).await.map_err(|error| internal("the engine cannot be observed", &error))?;
        let (seen, receiver) = watch::channel(first);
        Ok((Self { engine, changes, seen }, receiver))
    }

    /// Goes on asking until the server stops.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = self.changes.changed() => if changed.is_err() { return },
            }
            match observe(&*self.engine).await {
                Ok(seen) => {
                    self.seen.send_replace(seen);
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "the engine cannot be observed; it is asked again");
                    tokio::time::sleep(RETRY).await;
                    self.changes.mark_changed();
                }
            }
        }
    }
}

async fn observe(engine: &dyn Engine) -> Result<Observations, EngineError> {
    Ok(Arc::new(engine.observe().await?.into_iter().map(|seen| (seen.id, seen)).collect()))
}
