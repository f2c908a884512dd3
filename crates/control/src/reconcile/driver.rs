//! Drives one workload through its life: prove and fetch the image, start, watch, restart with backoff, stop.
//!
//! One driver per workload of a running session. It acts on what is recorded and observed, so a server that was killed
//! at any point takes up where the engine and the store stand. A backoff restart reuses the launch's image and secret
//! versions; only a relaunch by hand brings newer ones, already proven.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use meshkeep_core::{Refusal, RefusalKind, Timestamp, plan::left_of_backoff, workload::WorkloadState};
use meshkeep_engine::{EngineError, ObservedState};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{
    Context, Fetched, Launch, Recipe, calls,
    deliver::Delivery,
    outcome::{engine_error, workload_lost},
    platform,
};
use crate::{
    probe::Probe,
    refusals::{chain, internal},
};

/// How long a workload has between its stop signal and SIGKILL.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Between two liveness probes that were not answered with 200.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// What a driver can be told.
pub(super) enum Command {
    /// End the workload for good and say when it is gone.
    Stop(oneshot::Sender<()>),
    /// End its process within this grace, keep what it left, and say when it has ended.
    Halt(Duration, oneshot::Sender<Result<(), Refusal>>),
    /// Start it anew as given here, and say when that is recorded.
    Relaunch(Box<Relaunch>, oneshot::Sender<Result<(), Refusal>>),
}

/// What a workload shall be from now on.
pub(crate) struct Relaunch {
    /// Newest manifest and versions.
    pub(crate) recipe: Recipe,
    /// Proven with them.
    pub(crate) image: Fetched,
}

/// What comes next.
pub(super) enum Phase {
    /// Start the process from the proven image. Never abandoned half-way: the engine's answer decides what is stopped.
    Start(Box<Fetched>),
    /// Something that a command may interrupt.
    Wait(Wait),
}

/// What a command may interrupt.
pub(super) enum Wait {
    /// Prove access and fetch the image.
    Fetch,
    /// A process runs, or may run.
    Watch,
    /// It crashed; start again then.
    Backoff(Timestamp),
    /// Nothing to do until told.
    Rest,
}

/// Runs until told to stop, or until the server stops (the workload lives on).
pub(super) async fn drive(context: Arc<Context>, launch: Launch, mut commands: mpsc::Receiver<Command>) {
    let stopping = context.stopping.clone();
    let mut driver = Driver::new(context, launch);
    let mut phase = driver.resume().await;
    loop {
        let wait = match phase {
            Phase::Start(image) => {
                phase = driver.start(*image).await;
                continue;
            }
            Phase::Wait(wait) => wait,
        };
        phase = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            command = commands.recv() => match command {
                Some(Command::Stop(done)) => {
                    driver.stop().await;
                    // The asker may have gone; the workload is stopped all the same.
                    let _ = done.send(());
                    return;
                }
                Some(Command::Halt(grace, done)) => driver.halt(grace, done).await,
                Some(Command::Relaunch(relaunch, done)) => driver.relaunch(*relaunch, done, wait).await,
                None => return,
            },
            next = driver.advance(&wait) => next,
        };
    }
}

/// One workload on its way.
pub(super) struct Driver {
    pub(super) context: Arc<Context>,
    pub(super) launch: Launch,
    probes: Vec<Probe>,
    /// Crashes without five good minutes between them.
    pub(super) crashes: u32,
}

impl Driver {
    fn new(context: Arc<Context>, launch: Launch) -> Self {
        let probes = platform::probes(&launch.recipe.spec);
        Self { context, probes, crashes: launch.restarts, launch }
    }

    /// From what is recorded and observed to what comes next.
    async fn resume(&mut self) -> Phase {
        if let Some(seen) = self.context.observed(&self.launch)
            && seen.attempt >= self.launch.attempt
            // One that somebody stopped stays so.
            && self.launch.state != WorkloadState::Stopped
        {
            // Starts that the server did not live to record came after crashes: every other one is recorded before it
            // is made. A rolling restart tells by this which starts were its own.
            let unrecorded = seen.attempt - self.launch.attempt;
            self.launch.attempt = seen.attempt;
            self.launch.restarts += unrecorded;
            self.crashes += unrecorded;
            // Who was in the room is not any more, since the server was away.
            calls::place(&self.context, &self.launch);
            return Phase::Wait(Wait::Watch);
        }
        match &self.launch.state {
            WorkloadState::Exited { code: 0 } | WorkloadState::Stopped => Phase::Wait(Wait::Rest),
            WorkloadState::Exited { .. } | WorkloadState::Failed { .. } if self.launch.asked.is_some() => {
                Phase::Wait(Wait::Rest)
            }
            WorkloadState::Failed { reason } if reason.kind != RefusalKind::Broken => Phase::Wait(Wait::Rest),
            WorkloadState::Exited { .. } | WorkloadState::Failed { .. } => {
                Phase::Wait(Wait::Backoff(self.context.now()))
            }
            WorkloadState::Starting | WorkloadState::Running | WorkloadState::Ready => {
                self.crashed(workload_lost()).await
            }
            WorkloadState::Pending | WorkloadState::Pulling => self.first(),
        }
    }

    /// Starts the image of the launch. Without one (nothing was proven yet, or not recorded) it is proven now; so it is when
    /// its layers are gone.
    fn first(&self) -> Phase {
        match self.launch.image.clone() {
            Some(image) if image.is_here() => Phase::Start(Box::new(image)),
            _ => Phase::Wait(Wait::Fetch),
        }
    }

    async fn advance(&mut self, wait: &Wait) -> Phase {
        match wait {
            Wait::Fetch => self.fetch().await,
            Wait::Watch => self.watch().await,
            Wait::Backoff(at) => {
                sleep(left_of_backoff(*at, self.context.now())).await;
                self.launch.attempt += 1;
                self.launch.restarts += 1;
                self.first()
            }
            Wait::Rest => std::future::pending().await,
        }
    }

    async fn fetch(&mut self) -> Phase {
        self.launch.state = WorkloadState::Pulling;
        self.context.live.show(&self.launch);
        let progress = self.context.live.progress(self.launch.id);
        let mut recipe = self.launch.recipe.clone();
        if let Some(before) = &self.launch.image {
            recipe.spec = before.pinned(&recipe.spec);
        }
        match self.context.fetch(&recipe, progress).await {
            Ok(image) => {
                let image = match &self.launch.image {
                    Some(before) => image.named_as(before),
                    None => image,
                };
                self.launch.image = Some(image.clone());
                Phase::Start(Box::new(image))
            }
            Err(reason) => self.failed(reason).await,
        }
    }

    async fn start(&mut self, image: Fetched) -> Phase {
        self.launch.state = WorkloadState::Starting;
        self.context.live.show(&self.launch);
        let peers = self.context.live.peers(self.launch.session);
        let workload = match self.launch.workload(image.clone(), &peers, self.context.parts.limits) {
            Ok(workload) => workload,
            Err(reason) => return self.failed(reason).await,
        };
        let delivery = Delivery::new(&self.context, &self.launch, &image.image);
        match self.context.parts.engine.ensure(&workload, &delivery).await {
            Ok(()) => {
                self.launch.started_at = Some(self.context.now());
                self.record(if self.probes.is_empty() { WorkloadState::Ready } else { WorkloadState::Running }).await;
                calls::place(&self.context, &self.launch);
                Phase::Wait(Wait::Watch)
            }
            Err(EngineError::Rejected(reason)) => self.failed(reason).await,
            Err(EngineError::Unavailable(reason)) => self.crashed(reason).await,
            Err(error) => {
                tracing::error!(workload = %self.launch.id, error = %chain(&error), "a start broke");
                self.crashed(engine_error(&error)).await
            }
        }
    }

    /// Waits for the end of the process, and meanwhile for readiness.
    async fn watch(&mut self) -> Phase {
        let mut observations = self.context.observations.clone();
        loop {
            let seen = observations.borrow_and_update().get(&self.launch.id).cloned();
            if let Some(seen) = seen.filter(|seen| seen.attempt == self.launch.attempt) {
                match seen.state {
                    ObservedState::Exited { code, hint, .. } => return self.ended(code, hint).await,
                    ObservedState::Failed(reason) => return self.lost(reason).await,
                    ObservedState::Running => {
                        self.launch.started_at = seen.started_at.or(self.launch.started_at);
                        self.note_running(seen.address).await;
                    }
                    ObservedState::Starting => {}
                }
            }
            tokio::select! {
                changed = observations.changed() => if changed.is_err() {
                    // The observer is gone: the server stops.
                    return Phase::Wait(Wait::Rest);
                },
                () = sleep(PROBE_PAUSE), if self.launch.state == WorkloadState::Running => {}
            }
        }
    }

    async fn note_running(&mut self, address: Option<Ipv4Addr>) {
        if self.launch.state == WorkloadState::Ready {
            return;
        }
        if self.all_answer(address).await {
            self.record(WorkloadState::Ready).await;
        } else if self.launch.state != WorkloadState::Running {
            self.record(WorkloadState::Running).await;
        }
    }

    async fn all_answer(&self, address: Option<Ipv4Addr>) -> bool {
        let Some(address) = address else { return self.probes.is_empty() };
        for probe in &self.probes {
            if !probe.answers(address).await {
                return false;
            }
        }
        true
    }

    /// Becomes what is given, once that is recorded; else everything stays as it was.
    async fn relaunch(&mut self, new: Relaunch, done: oneshot::Sender<Result<(), Refusal>>, wait: Wait) -> Phase {
        let mut launch = self.launch.clone();
        launch.recipe = new.recipe;
        launch.image = Some(new.image.clone());
        launch.attempt += 1;
        launch.restarts = 0;
        launch.state = WorkloadState::Pending;
        // Shown first: with the new versions recorded, nobody must see the old process's "ready" beside them.
        self.context.live.show(&launch);
        let saved = self.context.save_relaunch(&launch).await;
        let is_saved = saved.is_ok();
        if !is_saved {
            self.context.live.show(&self.launch);
        }
        // The asker may have gone; it is restarted all the same.
        let _ = done.send(saved);
        if !is_saved {
            return Phase::Wait(wait);
        }
        *self = Self::new(Arc::clone(&self.context), launch);
        Phase::Start(Box::new(new.image))
    }

    /// Its process ends and is not started again until somebody asks for it.
    async fn halt(&mut self, grace: Duration, done: oneshot::Sender<Result<(), Refusal>>) -> Phase {
        let halted = match self.context.parts.engine.stop(self.launch.id, grace).await {
            Ok(()) | Err(EngineError::NotFound(_)) => Ok(()),
            Err(error) => Err(internal("the container could not be stopped", &error)),
        };
        let next = if halted.is_ok() {
            self.record(WorkloadState::Stopped).await;
            Phase::Wait(Wait::Rest)
        } else {
            Phase::Wait(Wait::Watch)
        };
        // The asker may have gone; it is stopped all the same.
        let _ = done.send(halted);
        next
    }

    async fn stop(&mut self) {
        // An error is logged; the next start of the server tries again.
        if self.context.clear(self.launch.id).await.is_ok()
            && !matches!(self.launch.state, WorkloadState::Exited { .. } | WorkloadState::Failed { .. })
        {
            self.record(WorkloadState::Stopped).await;
        }
    }
}
