//! Further processes in a container of the session.
//!
//! What must stay true: whoever gets one reads the container's environment. So it takes the bind right where anything of
//! it is bound, or the token that the platform gave to this very service; and a private container lets in nobody but
//! its owner.

use futures_util::{StreamExt as _, stream::BoxStream};
use meshkeep_core::{Refusal, RefusalKind, access::Action};
use meshkeep_engine::{EngineError, ExecInput, ExecOutput, ExecRequest, ExecSession};
use meshkeep_store::Workload;
use tokio::sync::mpsc;

use super::{Member, containers::no_container, services::is_ad_hoc};
use crate::{ops::exposes, refusals::internal};

/// Such a process. Dropped, it is killed.
pub struct Exec {
    /// To it.
    pub input: mpsc::Sender<ExecInput>,
    /// From it; an exit or a refusal is the last.
    pub output: BoxStream<'static, Result<ExecOutput, Refusal>>,
}

impl Member {
    /// Runs a command in a container, with its environment.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`; `Conflict` when nothing of it runs.
    pub async fn exec(&self, container: &str, command: Vec<String>, tty: bool) -> Result<Exec, Refusal> {
        self.use_containers(Action::RunSessions)?;
        if command.first().is_none_or(String::is_empty) {
            return Err(Refusal::invalid("command", "is empty"));
        }
        let workload = self.workload(container).await?;
        if let Err(refusal) = self.may_look_into(&workload) {
            let caller = &self.participant.caller;
            let object = format!("{} container {}", self.session, workload.id);
            return Err(self.control.recorded(refusal, caller.audited("container.exec", object)).await);
        }
        self.record("container.exec", "container.exec", &workload).await?;
        let request = ExecRequest { command, tty };
        let session = self.control.context().parts.engine.exec(workload.id, request).await;
        let ExecSession { input, output } = session.map_err(refusal)?;
        Ok(Exec { input, output: output.map(|said| said.map_err(refusal)).boxed() })
    }

    fn may_look_into(&self, workload: &Workload) -> Result<(), Refusal> {
        let owns = self.owns(workload);
        let private = workload.spec.container.as_ref().is_none_or(|container| container.private.unwrap_or(true));
        if private && !owns {
            let message = "the container is private: only its own service may run commands in it";
            return Err(Refusal::new(RefusalKind::Forbidden, "private_container", message)
                .hint("set `container.private: false` in its manifest, and restart it"));
        }
        if exposes(&workload.spec) && !owns {
            self.participant.caller.may(self.participant.project(), Action::Bind)?;
        }
        Ok(())
    }

    /// With the platform's token for this very service; or by the participant that asked for a container of its own.
    pub(super) fn owns(&self, workload: &Workload) -> bool {
        match &workload.asked {
            Some(asked) if is_ad_hoc(workload) => asked.participant == self.id.to_string(),
            _ => self.participant.own_service() == Some(workload.service),
        }
    }
}

fn refusal(error: EngineError) -> Refusal {
    match error {
        EngineError::Rejected(refusal) | EngineError::Unavailable(refusal) => refusal,
        EngineError::NotFound(_) => no_container(),
        error => internal("the command could not be run", &error),
    }
}
