//! Drives one workload through its life: prove and fetch the image, start, watch, restart with backoff, stop.
//!
//! One driver per workload of a running session. It acts on what is recorded and observed, so a server that was killed
//! at any point takes up where the engine and the store stand. A backoff restart reuses the launch's image and secret
//! versions; only a relaunch by hand brings newer ones, already proven.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use meshkeep_core::{
    Refusal, RefusalKind, Timestamp,
    plan::{backoff, resets_backoff},
    workload::WorkloadState,
};
use meshkeep_engine::{EngineError, ObservedState};
use meshkeep_image::Image;
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{Context, Launch, Recipe, deliver::Delivery, event, platform};
use crate::{probe::Probe, refusals::chain};

/// How long a workload has between its stop signal and SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Between two liveness probes that were not answered with 200.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// What a driver can be told.
pub(super) enum Command {
    /// End the workload for good and say when it is gone.
    Stop(oneshot::Sender<()>),
    /// Start it anew as given here, and say when that is recorded.
    Relaunch(Box<Relaunch>, oneshot::Sender<Result<(), Refusal>>),
}

/// What a workload shall be from now on.
pub(crate) struct Relaunch {
    /// Newest manifest and versions.
    pub(crate) recipe: Recipe,
    /// Proven with them.
    pub(crate) image: Image,
}

/// What comes next.
enum Phase {
    /// Start the process from the proven image. Never abandoned half-way: the engine's answer decides what is stopped.
    Start(Box<Image>),
    /// Something that a command may interrupt.
    Wait(Wait),
}

enum Wait {
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
                Some(Command::Relaunch(relaunch, done)) => driver.relaunch(*relaunch, done, wait).await,
                None => return,
            },
            next = driver.advance(&wait) => next,
        };
    }
}

struct Driver {
    context: Arc<Context>,
    launch: Launch,
    probes: Vec<Probe>,
    /// Crashes without five good minutes between them.
    crashes: u32,
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
        {
            // A start that the server did not live to record.
            self.launch.attempt = seen.attempt;
            return Phase::Wait(Wait::Watch);
        }
        match &self.launch.state {
            WorkloadState::Exited { code: 0 } | WorkloadState::Stopped => Phase::Wait(Wait::Rest),
            WorkloadState::Failed { reason } if reason.kind != RefusalKind::Broken => Phase::Wait(Wait::Rest),
            WorkloadState::Exited { .. } | WorkloadState::Failed { .. } => {
                Phase::Wait(Wait::Backoff(self.context.now()))
            }
            WorkloadState::Starting | WorkloadState::Running | WorkloadState::Ready => self.crashed(lost()).await,
            WorkloadState::Pending | WorkloadState::Pulling => self.first(),
        }
    }

    /// Starts the image of the launch. Without one (nothing was proven yet, or not recorded) it is proven now.
    fn first(&self) -> Phase {
        match self.launch.image.clone() {
            Some(image) => Phase::Start(Box::new(image)),
            None => Phase::Wait(Wait::Fetch),
        }
    }

    async fn advance(&mut self, wait: &Wait) -> Phase {
        match wait {
            Wait::Fetch => self.fetch().await,
            Wait::Watch => self.watch().await,
            Wait::Backoff(at) => {
                let left = at.as_millis().saturating_sub(self.context.now().as_millis()).max(0);
                sleep(Duration::from_millis(left.unsigned_abs())).await;
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
        match self.context.fetch(&self.launch.recipe, progress).await {
            Ok(image) => {
                self.launch.image = Some(image.clone());
                Phase::Start(Box::new(image))
            }
            Err(reason) => self.failed(reason).await,
        }
    }

    async fn start(&mut self, image: Image) -> Phase {
        self.launch.state = WorkloadState::Starting;
        self.context.live.show(&self.launch);
        let workload = match self.launch.workload(image.clone(), self.context.parts.limits) {
            Ok(workload) => workload,
            Err(reason) => return self.failed(reason).await,
        };
        let delivery = Delivery::new(&self.context, &self.launch, &image);
        match self.context.parts.engine.ensure(&workload, &delivery).await {
            Ok(()) => {
                self.launch.started_at = Some(self.context.now());
                self.record(if self.probes.is_empty() { WorkloadState::Ready } else { WorkloadState::Running }).await;
                Phase::Wait(Wait::Watch)
            }
            Err(EngineError::Rejected(reason)) => self.failed(reason).await,
            Err(EngineError::Unavailable(reason)) => self.crashed(reason).await,
            Err(error) => {
                tracing::error!(workload = %self.launch.id, error = %chain(&error), "a start broke");
                self.crashed(broken(&error)).await
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

    async fn ended(&mut self, code: i32, hint: Option<String>) -> Phase {
        self.launch.exit_code = Some(code);
        if code == 0 {
            self.record(WorkloadState::Exited { code }).await;
            return Phase::Wait(Wait::Rest);
        }
        let reason = Refusal::new(RefusalKind::Invalid, "crashed", format!("the process ended with status {code}"))
            .hint(hint.unwrap_or_else(|| "its log says more".to_owned()));
        self.restart_later(WorkloadState::Exited { code }, reason).await
    }

    /// The engine lost it, or found after the fact that it cannot run.
    async fn lost(&mut self, reason: Refusal) -> Phase {
        match reason.kind {
            RefusalKind::Broken | RefusalKind::Unavailable => self.crashed(reason).await,
            _ => self.failed(reason).await,
        }
    }

    async fn crashed(&mut self, reason: Refusal) -> Phase {
        self.restart_later(WorkloadState::Failed { reason: reason.clone() }, reason).await
    }

    /// Records the end and plans the next start.
    async fn restart_later(&mut self, state: WorkloadState, reason: Refusal) -> Phase {
        let now = self.context.now();
        if self.launch.started_at.is_some_and(|started| resets_backoff(started, now)) {
            self.crashes = 0;
        }
        let at = now.plus_millis(i64::try_from(backoff(self.crashes).as_millis()).unwrap_or(i64::MAX));
        self.crashes = self.crashes.saturating_add(1);
        let is_news = self.launch.state != state;
        self.launch.state = state;
        self.context.live.show_waiting(&self.launch, at, reason);
        let event = is_news.then(|| event::of(&self.launch, Some(at)));
        self.context.save(&self.launch, event).await;
        Phase::Wait(Wait::Backoff(at))
    }

    /// It cannot start until somebody changes something.
    async fn failed(&mut self, reason: Refusal) -> Phase {
        self.record(WorkloadState::Failed { reason }).await;
        Phase::Wait(Wait::Rest)
    }

    async fn record(&mut self, state: WorkloadState) {
        let is_news = self.launch.state != state;
        self.launch.state = state;
        self.context.live.show(&self.launch);
        let event = is_news.then(|| event::of(&self.launch, None));
        self.context.save(&self.launch, event).await;
    }

    /// Becomes what is given, once that is recorded; else everything stays as it was.
    async fn relaunch(&mut self, new: Relaunch, done: oneshot::Sender<Result<(), Refusal>>, wait: Wait) -> Phase {
        let mut launch = self.launch.clone();
        launch.recipe = new.recipe;
        launch.image = Some(new.image.clone());
        launch.attempt += 1;
        launch.restarts = 0;
        launch.state = WorkloadState::Pending;
        let saved = self.context.save_relaunch(&launch).await;
        let is_saved = saved.is_ok();
        // The asker may have gone; it is restarted all the same.
        let _ = done.send(saved);
        if !is_saved {
            return Phase::Wait(wait);
        }
        *self = Self::new(Arc::clone(&self.context), launch);
        Phase::Start(Box::new(new.image))
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

fn lost() -> Refusal {
    let what = "the service was running when the host or its supervisor stopped";
    Refusal::new(RefusalKind::Broken, "workload_lost", what).hint("it is started again by itself")
}

/// What the person sees of an engine's bug: the log has the rest, under the workload's id.
fn broken(error: &EngineError) -> Refusal {
    let what = match error {
        EngineError::Broken { what, .. } => what.clone(),
        other => other.to_string(),
    };
    Refusal::new(RefusalKind::Broken, "engine_error", format!("the engine could not start the service: {what}"))
        .hint("`meshkeep serve` logged the cause under the workload's id")
}
