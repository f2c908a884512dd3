//! Ending sessions: recorded first, then done. What a killed server left undone, its next start does.

use meshkeep_core::{
    Refusal,
    access::Action,
    id::{ProjectId, SessionId},
};
use meshkeep_store::{Session, Tx};
use serde_json::json;

use super::found;
use crate::{Caller, Control, refusals::refused};

impl Control {
    /// Ends a session with its services; returns when nothing of it runs. One that has ended stays so.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn terminate_session(&self, caller: &Caller, project: ProjectId, id: SessionId) -> Result<(), Refusal> {
        caller.may(project, Action::RunSessions)?;
        let (control, caller) = (self.clone(), caller.clone());
        self.to_its_end(async move { control.terminate(&caller, project, Some(id)).await }).await
    }

    /// Ends all sessions of the project.
    ///
    /// # Errors
    /// When the store refuses; none was ended then.
    pub async fn terminate_all(&self, caller: &Caller, project: ProjectId) -> Result<(), Refusal> {
        caller.may(project, Action::RunSessions)?;
        let (control, caller) = (self.clone(), caller.clone());
        self.to_its_end(async move { control.terminate(&caller, project, None).await }).await
    }

    async fn terminate(&self, caller: &Caller, project: ProjectId, only: Option<SessionId>) -> Result<(), Refusal> {
        let mut drivers = self.drivers().lock().await;
        let mut tx = self.store().write("terminate sessions").await.map_err(refused)?;
        let ending = running(&mut tx, project, only).await?;
        for session in &ending {
            tx.end_session(session.id).await.map_err(refused)?;
            tx.add_event(session.id, "session.terminated", &json!({"by": caller.actor()})).await.map_err(refused)?;
            tx.audit(&caller.audited("session.terminate", session.id.to_string())).await.map_err(refused)?;
        }
        tx.commit().await.map_err(refused)?;
        ending.iter().for_each(|session| self.context().end_room(session.id));
        let ended: Vec<_> = ending.iter().map(|session| drivers.take(session.id).finish()).collect();
        drop(drivers);
        futures_util::future::join_all(ended).await;
        Ok(())
    }
}

async fn running(tx: &mut Tx, project: ProjectId, only: Option<SessionId>) -> Result<Vec<Session>, Refusal> {
    match only {
        Some(id) => {
            let session = found(tx, project, id).await?;
            Ok(Vec::from_iter(session.ended_at.is_none().then_some(session)))
        }
        None => tx.active_sessions(Some(project)).await.map_err(refused),
    }
}
