//! What the server remembers of one workload, and who waits for it to change.

use std::sync::{Mutex, PoisonError};

use meshkeep_core::{Refusal, RefusalKind, Timestamp};
use tokio::sync::{mpsc::UnboundedSender, watch};

use super::{
    files::Record,
    proto::{Command, State, Status},
};
use crate::{Observed, ObservedState};

/// What is known of a workload.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The newest start.
    pub record: Record,
    /// What became of it.
    pub state: State,
    /// When its process started.
    pub started_at: Option<Timestamp>,
    /// The protocol that its supervisor speaks.
    pub version: u32,
    /// Whether its supervisor still runs.
    pub supervised: bool,
    /// Whether it was removed.
    pub removed: bool,
}

impl Seen {
    /// A start on its way.
    pub(super) const fn starting(record: Record) -> Self {
        Self {
            version: record.version,
            record,
            state: State::Starting,
            started_at: None,
            supervised: true,
            removed: false,
        }
    }

    /// Whether nothing of it runs and nothing will come without another `ensure`.
    pub(super) const fn is_over(&self) -> bool {
        self.state.is_over() && !self.supervised
    }

    /// Whether its log is complete: it was stopped or removed, or it ended well. One that failed is started again.
    pub(super) const fn ended_for_good(&self) -> bool {
        self.removed || (self.is_over() && (self.record.stopped || matches!(self.state, State::Exited { code: 0, .. })))
    }

    /// Takes what a supervisor said.
    pub(super) fn take(&mut self, status: Status) {
        self.version = status.version;
        self.state = status.state;
        self.started_at = status.started_at;
    }

    /// As the engine's callers see it.
    pub(super) fn observed(&self) -> Observed {
        let state = match &self.state {
            State::Starting => ObservedState::Starting,
            State::Running => ObservedState::Running,
            // Something of it may still be there; it is over when nothing is.
            State::Exited { .. } | State::Failed { .. } if self.supervised => ObservedState::Running,
            State::Exited { code, at, hint } => ObservedState::Exited { code: *code, at: *at, hint: hint.clone() },
            State::Failed { reason } => ObservedState::Failed(reason.clone()),
        };
        Observed {
            id: self.record.id,
            session: self.record.session,
            attempt: self.record.attempt,
            state,
            address: Some(self.record.address),
            started_at: self.started_at,
        }
    }
}

/// One workload's place in the engine.
#[derive(Debug)]
pub(super) struct Slot {
    /// Held by whoever starts, stops or removes it.
    pub gate: tokio::sync::Mutex<()>,
    /// Held by whoever asks its supervisor to let a process in.
    pub door: tokio::sync::Mutex<()>,
    seen: watch::Sender<Option<Seen>>,
    commands: Mutex<Option<UnboundedSender<Command>>>,
}

impl Slot {
    /// A place; empty until the first start is recorded.
    pub(super) fn new(seen: Option<Seen>) -> Self {
        Self {
            gate: tokio::sync::Mutex::default(),
            door: tokio::sync::Mutex::default(),
            seen: watch::Sender::new(seen),
            commands: Mutex::default(),
        }
    }

    /// What is known now.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.borrow().clone()
    }

    /// Replaces what is known.
    pub(super) fn set(&self, seen: Seen) {
        self.seen.send_replace(Some(seen));
    }

    /// Changes what is known, when something is.
    pub(super) fn update(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(|seen| {
            if let Some(seen) = seen {
                change(seen);
            }
        });
    }

    /// To wait for changes.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Seen>> {
        self.seen.subscribe()
    }

    /// Where commands for the supervisor go from now on.
    pub(super) fn connect(&self, commands: Option<UnboundedSender<Command>>) {
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = commands;
    }

    /// Asks the supervisor; whether there is one to ask.
    pub(super) fn ask(&self, command: Command) -> bool {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.as_ref().is_some_and(|commands| commands.send(command).is_ok())
    }
}

/// What is said of a workload whose supervisor left no word.
pub(super) fn lost(record: &Record, boot_id: &str) -> Refusal {
    if record.boot_id == boot_id {
        let message = "supervisor lost: the process that watched over it was killed, and it was ended with it";
        Refusal::new(RefusalKind::Unavailable, "supervisor_lost", message)
    } else {
        Refusal::new(RefusalKind::Unavailable, "host_rebooted", "the host was started anew since it ran")
    }
}
