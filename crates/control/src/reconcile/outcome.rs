//! What a start, a crash or an end leads to: the state that is shown and recorded, and what comes next.

use meshkeep_core::{
    Refusal, RefusalKind,
    plan::{backoff, resets_backoff},
    workload::WorkloadState,
};
use meshkeep_engine::EngineError;

use super::{
    driver::{Driver, Phase, Wait},
    event,
};

impl Driver {
    pub(super) async fn ended(&mut self, code: i32, hint: Option<String>) -> Phase {
        self.launch.exit_code = Some(code);
        if code == 0 || self.launch.asked.is_some() {
            self.record(WorkloadState::Exited { code }).await;
            return Phase::Wait(Wait::Rest);
        }
        let reason = Refusal::new(RefusalKind::Invalid, "crashed", format!("the process ended with status {code}"))
            .hint(hint.unwrap_or_else(|| "its log says more".to_owned()));
        self.restart_later(WorkloadState::Exited { code }, reason).await
    }

    /// The engine lost it, or found after the fact that it cannot run.
    pub(super) async fn lost(&mut self, reason: Refusal) -> Phase {
        match reason.kind {
            RefusalKind::Broken | RefusalKind::Unavailable => self.crashed(reason).await,
            _ => self.failed(reason).await,
        }
    }

    pub(super) async fn crashed(&mut self, reason: Refusal) -> Phase {
        if self.launch.asked.is_some() {
            return self.failed(reason).await;
        }
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
    pub(super) async fn failed(&mut self, reason: Refusal) -> Phase {
        self.record(WorkloadState::Failed { reason }).await;
        Phase::Wait(Wait::Rest)
    }

    pub(super) async fn record(&mut self, state: WorkloadState) {
        let is_news = self.launch.state != state;
        self.launch.state = state;
        self.context.live.show(&self.launch);
        let event = is_news.then(|| event::of(&self.launch, None));
        self.context.save(&self.launch, event).await;
    }
}

pub(super) fn workload_lost() -> Refusal {
    let what = "the service was running when the host or its supervisor stopped";
    Refusal::new(RefusalKind::Broken, "workload_lost", what).hint("it is started again by itself")
}

/// What the person sees of an engine's bug: the log has the rest, under the workload's id.
pub(super) fn engine_error(error: &EngineError) -> Refusal {
    let what = match error {
        EngineError::Broken { what, .. } => what.clone(),
        other => other.to_string(),
    };
    let refusal = |code, what: String| {
        Refusal::new(RefusalKind::Broken, code, format!("the engine could not start the service: {what}"))
    };
    match scarce(error) {
        Some((lack, remedy)) => refusal("host_exhausted", format!("{what}: {lack}"))
            .hint(format!("{remedy}; it is started again by itself")),
        None => refusal("engine_error", what).hint("`meshkeep serve` logged the cause under the workload's id"),
    }
}

/// What the host has no more of, if that is the cause, and what to do.
fn scarce(error: &EngineError) -> Option<(&'static str, &'static str)> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
            Some(libc::EMFILE | libc::ENFILE) => {
                return Some((
                    "no file can be opened any more",
                    "raise the server's limit of open files (`LimitNOFILE=`)",
                ));
            }
            Some(libc::ENOSPC) => return Some(("the disk is full", "make room where the data directory is")),
            Some(libc::EAGAIN) => {
                return Some(("no process can be started any more", "raise `TasksMax=` or the host's pid limit"));
            }
            Some(libc::ENOMEM) => return Some(("the host has no memory left", "end something, or add memory")),
            _ => cause = error.source(),
        }
    }
    None
}
