//! [`Control`]: everything that can be asked of meshkeep, and what runs behind it.

use std::{sync::Arc, time::Duration};

use meshkeep_core::{Clock, Refusal};
use meshkeep_engine::{Engine, Limits};
use meshkeep_image::Images;
use meshkeep_store::Store;
use tokio::sync::{Mutex, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    jobs::RollingPace,
    ops::audit::RefusedAttempts,
    reconcile::{self, Context, Drivers, Live, Observer},
    refusals::{internal, refused},
    room::{Presence, Pulled},
};

/// What meshkeep is made of.
pub struct Parts {
    /// What is recorded.
    pub store: Store,
    /// Where images come from.
    pub images: Images,
    /// What runs workloads.
    pub engine: Arc<dyn Engine>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where clients reach this server, without a `/` at the end.
    pub public_url: String,
    /// The URL under which services reach it from within their session, likewise.
    pub service_url: String,
    /// Bounds of a workload whose manifest states none.
    pub limits: Limits,
    /// Versions that a secret keeps, the newest ones; those that running sessions use are kept as well.
    pub keep_versions: u32,
    /// Days for which a deleted secret can be restored.
    pub keep_deleted_days: u32,
    /// How patient a rolling restart is with one session.
    pub rolling: RollingPace,
    /// How long a session that nobody launched by itself goes on when its last participant has left.
    pub session_grace: Duration,
}

/// The operations. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    /// Held from before a session's record changes until its drivers are as recorded: whoever holds it sees both agree.
    drivers: Mutex<Drivers>,
    tasks: TaskTracker,
}

/// The drivers behind a [`Control`], for ending them.
pub struct Running(Arc<Inner>);

impl Control {
    /// Takes up where the store and the engine stand: running workloads are adopted, sessions that should run go on,
    /// what ended sessions left behind is removed.
    ///
    /// # Errors
    /// When the store or the engine does not answer.
    pub async fn start(parts: Parts) -> Result<(Self, Running), Refusal> {
        let (observer, observations) = Observer::start(Arc::clone(&parts.engine)).await?;
        let stopping = CancellationToken::new();
        let context = Arc::new(Context {
            parts,
            live: Live::default(),
            presence: Presence::default(),
            pulled: Pulled::default(),
            refused: RefusedAttempts::default(),
            observations,
            stopping,
        });
        let tasks = TaskTracker::new();
        let mut drivers = Drivers::new(Arc::clone(&context), tasks.clone());
        reconcile::resume(&context, &mut drivers, &tasks).await?;
        tasks.spawn(observer.run(context.stopping.clone()));
        tasks.spawn(reconcile::collect(Arc::clone(&context)));
        let inner = Arc::new(Inner { context, drivers: Mutex::new(drivers), tasks });
        let control = Self(Arc::clone(&inner));
        control.linger_all().await?;
        control.resume_rolling_restarts().await?;
        Ok((control, Running(inner)))
    }

    /// Whether it can serve: the store answers.
    ///
    /// # Errors
    /// `Unavailable` or `Broken`, when it does not.
    pub async fn ready(&self) -> Result<(), Refusal> {
        let mut tx = self.store().read("ready").await.map_err(refused)?;
        tx.projects().await.map(drop).map_err(refused)
    }

    /// Changes whenever a running session would be shown differently.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.context.live.changes()
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.0.context
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.context.parts.store
    }

    pub(crate) fn drivers(&self) -> &Mutex<Drivers> {
        &self.0.drivers
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    /// Does `work` to its end, also when the asker goes away in the middle of it.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let task = self.0.tasks.spawn(work.in_current_span());
        task.await.map_err(|error| internal("the operation ended in the middle", &error))?
    }
}

impl Running {
    /// Ends the drivers. Workloads live on; the next start adopts them.
    pub async fn stop(self) {
        self.0.context.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
