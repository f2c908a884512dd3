//! A rolling restart on its way: one session after the other.
//!
//! What must stay true: that a session's turn has come is recorded before it is touched, with the launch that was there
//! before; so a server that is killed in between neither leaves one out nor restarts one twice.

use std::time::Duration;

use meshkeep_core::{
    Refusal, RefusalKind,
    id::{RestartId, SessionId, WorkloadId},
    wire::{Reason, RestartOutcome, RestartState},
    workload::WorkloadState,
};
use meshkeep_store::{AuditEntry, RestartStep, RollingRestart, Workload};
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use crate::{
    Control,
    caller::By,
    refusals::{chain, refused},
};

/// How patient a rolling restart is with one session.
#[derive(Clone, Copy, Debug)]
pub struct RollingPace {
    /// Within this time the service must be ready.
    pub ready_within: Duration,
    /// So long it must stay ready before it is the next session's turn: a process that ends at once was ready for a
    /// moment, where no port has a liveness path.
    pub settled: Duration,
}

impl Default for RollingPace {
    fn default() -> Self {
        Self { ready_within: Duration::from_secs(300), settled: Duration::from_secs(3) }
    }
}

/// Before what the store refused is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// What became of a session's turn.
enum Turn {
    Ended(RestartOutcome, Option<Reason>),
    /// The server stops; the next start goes on.
    Interrupted,
}

impl Control {
    /// Takes up what a server before this one did not bring to its end.
    ///
    /// # Errors
    /// When the store refuses.
    pub(crate) async fn resume_rolling_restarts(&self) -> Result<(), Refusal> {
        let mut tx = self.store().read("resume rolling restarts").await.map_err(refused)?;
        for restart in tx.running_rolling_restarts().await.map_err(refused)? {
            self.roll(restart);
        }
        Ok(())
    }

    /// Goes on with it until it is done, stopped, or the server stops.
    pub(crate) fn roll(&self, restart: RollingRestart) {
        let control = self.clone();
        let rolling = async move {
            let (id, stopping) = (restart.id, control.context().stopping.clone());
            let mut done = control.rolled(restart).await;
            while let Err(refusal) = done {
                tracing::error!(restart = %id, error = %chain(&refusal), "a rolling restart could not be recorded");
                if stopping.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                    return;
                }
                done = control.rolled_again(id).await;
            }
        };
        self.tasks().spawn(rolling.in_current_span());
    }

    /// From where it is recorded to be.
    async fn rolled_again(&self, id: RestartId) -> Result<(), Refusal> {
        let mut tx = self.store().read("rolling restart").await.map_err(refused)?;
        let running = tx.running_rolling_restarts().await.map_err(refused)?;
        drop(tx);
        match running.into_iter().find(|restart| restart.id == id) {
            Some(restart) => self.rolled(restart).await,
            None => Ok(()),
        }
    }

    async fn rolled(&self, mut restart: RollingRestart) -> Result<(), Refusal> {
        let by = By {
            project: restart.project,
            actor: restart.actor.clone(),
            origin: format!("rolling restart {}", restart.id),
        };
        for position in 0..restart.steps.len() {
            let step = &mut restart.steps[position];
            if !matches!(step.outcome, RestartOutcome::Pending | RestartOutcome::Restarting) {
                continue;
            }
            let (outcome, reason) = match self.turn(&by, &mut restart, position).await? {
                Turn::Ended(outcome, reason) => (outcome, reason),
                Turn::Interrupted => return Ok(()),
            };
            let step = &mut restart.steps[position];
            (step.outcome, step.reason) = (outcome, reason);
            self.save_step(&restart, position).await?;
            if outcome == RestartOutcome::Failed {
                break;
            }
        }
        self.end_rolling(&by, &restart).await
    }

    async fn turn(&self, by: &By, restart: &mut RollingRestart, position: usize) -> Result<Turn, Refusal> {
        let (session, service) = (restart.steps[position].session, restart.service);
        let Some(workload) = self.running_workload(restart, session).await? else { return Ok(over()) };
        let now = generation(&workload);
        let step = &mut restart.steps[position];
        if step.generation.is_none() {
            (step.outcome, step.generation) = (RestartOutcome::Restarting, Some(now));
            self.save_step(restart, position).await?;
        }
        // Else a server before this one restarted it.
        if restart.steps[position].generation == Some(now)
            && let Err(refusal) = self.restart(by, session, service).await
        {
            if self.context().stopping.is_cancelled() {
                return Ok(Turn::Interrupted);
            }
            if self.running_workload(restart, session).await?.is_none() {
                return Ok(over());
            }
            return Ok(failed(&refusal));
        }
        Ok(self.settled(workload.id).await)
    }

    /// The service's workload in a session that runs; none when the session is over.
    async fn running_workload(
        &self,
        restart: &RollingRestart,
        session: SessionId,
    ) -> Result<Option<Workload>, Refusal> {
        let mut tx = self.store().read("rolling restart").await.map_err(refused)?;
        match tx.session(restart.project, session).await.map_err(refused)? {
            Some(session) if session.ended_at.is_none() => {
                let workloads = tx.workloads(restart.project, session.id).await.map_err(refused)?;
                Ok(workloads.into_iter().find(|workload| workload.service == restart.service))
            }
            _ => Ok(None),
        }
    }

    /// Waits until the restarted workload is ready and stays so, or has done its work.
    async fn settled(&self, id: WorkloadId) -> Turn {
        let pace = self.context().parts.rolling;
        let stopping = self.context().stopping.clone();
        let waited = timeout(pace.ready_within, self.until_settled(id, pace.settled));
        match stopping.run_until_cancelled(waited).await {
            None => Turn::Interrupted,
            Some(Ok(turn)) => turn,
            Some(Err(_)) => {
                let seconds = pace.ready_within.as_secs();
                let message = format!("the service was restarted and did not become ready within {seconds} seconds");
                failed(&Refusal::new(RefusalKind::Unavailable, "not_ready", message))
            }
        }
    }

    async fn until_settled(&self, id: WorkloadId, settled: Duration) -> Turn {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let Some(live) = self.context().live.get(id) else { return over() };
            match live.state {
                WorkloadState::Ready => {}
                WorkloadState::Exited { code: 0 } => return Turn::Ended(RestartOutcome::Ready, None),
                WorkloadState::Failed { reason } => return failed(&reason),
                WorkloadState::Exited { code } => {
                    let crashed = || Refusal::new(RefusalKind::Broken, "crashed", format!("it ended with code {code}"));
                    return failed(&live.last_reason.unwrap_or_else(crashed));
                }
                _ => {
                    // An error means that the server stops; that is awaited elsewhere.
                    let _ = changes.changed().await;
                    continue;
                }
            }
            let changed = async {
                while self.context().live.get(id).is_some_and(|live| live.state == WorkloadState::Ready) {
                    let _ = changes.changed().await;
                }
            };
            if timeout(settled, changed).await.is_err() {
                return Turn::Ended(RestartOutcome::Ready, None);
            }
        }
    }

    async fn save_step(&self, restart: &RollingRestart, position: usize) -> Result<(), Refusal> {
        let mut tx = self.store().write("save restart step").await.map_err(refused)?;
        tx.save_restart_step(restart.id, &restart.steps[position]).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        self.context().live.note();
        Ok(())
    }

    /// Records the end, and that the sessions after one that failed were left alone.
    async fn end_rolling(&self, by: &By, restart: &RollingRestart) -> Result<(), Refusal> {
        let is_bad = restart.steps.iter().any(|step| step.outcome == RestartOutcome::Failed);
        let state = if is_bad { RestartState::Stopped } else { RestartState::Done };
        let mut tx = self.store().write("end rolling restart").await.map_err(refused)?;
        for step in restart.steps.iter().filter(|step| step.outcome == RestartOutcome::Pending) {
            let message = "a session before it did not become ready; this one was left alone".to_owned();
            let reason = Some(Reason { code: "left_alone".to_owned(), message, hint: String::new() });
            let skipped = RestartStep { outcome: RestartOutcome::Skipped, reason, ..step.clone() };
            tx.save_restart_step(restart.id, &skipped).await.map_err(refused)?;
        }
        tx.end_rolling_restart(restart.id, state).await.map_err(refused)?;
        let object = format!("{} restart {}", restart.service, restart.id);
        let row = AuditEntry { outcome: state.to_string(), ..by.audited("service.restart.end", object) };
        tx.audit(&row).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        self.context().live.note();
        Ok(())
    }
}

/// One more with every restart by hand, and the same over restarts after crashes.
fn generation(workload: &Workload) -> i64 {
    i64::from(workload.attempt) - i64::from(workload.restarts)
}

fn failed(refusal: &Refusal) -> Turn {
    Turn::Ended(RestartOutcome::Failed, Some(Reason::from(refusal)))
}

fn over() -> Turn {
    let message = "the session has ended; its room's next one uses the newest versions".to_owned();
    let reason = Reason { code: "session_over".to_owned(), message, hint: String::new() };
    Turn::Ended(RestartOutcome::Skipped, Some(reason))
}
