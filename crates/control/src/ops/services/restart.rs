//! Restarting a service in all its running sessions: begun here, done by [`crate::jobs`].

use meshkeep_core::{
    Refusal, RefusalKind,
    access::Action,
    id::{ProjectId, ServiceId},
    wire::{self, RestartOutcome, RestartState},
};
use meshkeep_store::RollingRestart;

use super::{Scope, found, in_store};
use crate::{Caller, Control, caller::By, refusals::refused};

impl Control {
    /// Begins to restart a service in every session that runs it now, one after the other, oldest first. It goes on by
    /// itself, also over a restart of the server, and stops at the first session in which the service does not become
    /// ready.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while another one of the service runs.
    pub async fn begin_rolling_restart(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        id: ServiceId,
    ) -> Result<wire::RollingRestart, Refusal> {
        caller.may(project, Action::RunSessions)?;
        let (control, by) = (self.clone(), caller.by());
        // Else one could be recorded for an asker who has gone, and nobody would go on with it.
        self.to_its_end(async move { control.begin_rolling(&by, scope, id).await }).await
    }

    async fn begin_rolling(&self, by: &By, scope: Scope, id: ServiceId) -> Result<wire::RollingRestart, Refusal> {
        let project = by.project;
        let mut tx = self.store().write("begin rolling restart").await.map_err(refused)?;
        let scope = in_store(&mut tx, project, &scope).await?;
        let service = found(&mut tx, project, scope, id).await?;
        if let Some(other) = tx.newest_rolling_restart(project, id).await.map_err(refused)?
            && other.state == RestartState::Running
        {
            let RollingRestart { id, actor, created_at, .. } = other;
            let message =
                format!("the rolling restart {id} of this service, begun by {actor}, runs since {created_at}");
            return Err(Refusal::new(RefusalKind::Conflict, "restart_running", message).hint(format!(
                "wait for its end; `meshkeep service restart {} --status` shows how far it is",
                service.name
            )));
        }
        let begun = tx.begin_rolling_restart(project, &service, &by.actor).await.map_err(refused)?;
        tx.audit(&by.audited("service.restart", format!("{id} restart {}", begun.id))).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        self.roll(begun.clone());
        Ok(shown(begun))
    }

    /// The newest rolling restart of a service, and how far each session is.
    ///
    /// # Errors
    /// `NotFound`, also when there was none.
    pub async fn rolling_restart(
        &self,
        caller: &Caller,
        project: ProjectId,
        scope: Scope,
        id: ServiceId,
    ) -> Result<wire::RollingRestart, Refusal> {
        caller.may(project, Action::Look)?;
        let mut tx = self.store().read("rolling restart").await.map_err(refused)?;
        let scope = in_store(&mut tx, project, &scope).await?;
        let service = found(&mut tx, project, scope, id).await?;
        let newest = tx.newest_rolling_restart(project, id).await.map_err(refused)?;
        newest.map(shown).ok_or_else(|| {
            let message = format!("the service {} was never restarted in all its sessions", service.name);
            Refusal::new(RefusalKind::NotFound, "not_found", message)
                .hint(format!("`meshkeep service restart {}` begins it", service.name))
        })
    }
}

fn shown(restart: RollingRestart) -> wire::RollingRestart {
    let RollingRestart { id, service, service_name, state, actor, created_at, ended_at, steps, .. } = restart;
    let failed = steps.iter().find(|step| step.outcome == RestartOutcome::Failed);
    let hint = failed.map(|step| {
        format!(
            "look at the service's log in room {}; then mend the service or roll its secret back, and restart again",
            step.room_name
        )
    });
    let sessions = steps.into_iter().map(|step| wire::RestartStep {
        session_id: step.session,
        room_name: step.room_name.into(),
        outcome: step.outcome,
        reason: step.reason,
    });
    wire::RollingRestart {
        id,
        service_id: service,
        service_name: service_name.into(),
        state,
        started_by: actor,
        created_at,
        ended_at,
        sessions: sessions.collect(),
        hint: hint.unwrap_or_default(),
    }
}
