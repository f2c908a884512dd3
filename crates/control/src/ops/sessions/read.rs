//! Looking at sessions.

use meshkeep_core::{
    Refusal,
    access::Action,
    id::{ProjectId, SessionId},
    wire,
};

use super::{found, show};
use crate::{Caller, Control, refusals::refused};

/// Sessions of a list of recent ones.
const RECENT: u32 = 200;

impl Control {
    /// Recent sessions, or those that run; newest first.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn list_sessions(
        &self,
        caller: &Caller,
        project: ProjectId,
        active_only: bool,
    ) -> Result<wire::SessionList, Refusal> {
        caller.may(project, Action::Look)?;
        let mut tx = self.store().read("list sessions").await.map_err(refused)?;
        let sessions = match active_only {
            true => tx.active_sessions(Some(project)).await,
            false => tx.recent_sessions(project, RECENT).await,
        };
        let shown = |session| show::session(self.context(), session, None, None);
        Ok(wire::SessionList { sessions: sessions.map_err(refused)?.into_iter().map(shown).collect() })
    }

    /// One session with its workloads.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn session(&self, caller: &Caller, project: ProjectId, id: SessionId) -> Result<wire::Session, Refusal> {
        caller.may(project, Action::Look)?;
        let mut tx = self.store().read("session").await.map_err(refused)?;
        let session = found(&mut tx, project, id).await?;
        show::whole(&mut tx, self.context(), session).await.map_err(refused)
    }

    /// What happened in a session, oldest first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn session_events(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: SessionId,
    ) -> Result<wire::EventList, Refusal> {
        caller.may(project, Action::Look)?;
        let mut tx = self.store().read("session events").await.map_err(refused)?;
        found(&mut tx, project, id).await?;
        let events = tx.events(id).await.map_err(refused)?.into_iter();
        let events = events.map(|event| wire::Event { kind: event.kind, data: event.data, at: event.at }).collect();
        Ok(wire::EventList { events })
    }
}
