//! Sessions that nobody asked for by themselves end when the last participant has left for a while.

use meshkeep_core::{Refusal, id::SessionId};
use serde_json::json;

use crate::{Control, caller::By, refusals::refused};

impl Control {
    /// Ends the session after the grace, unless somebody has joined by then. `joined` is how many ever had.
    pub(crate) fn linger(&self, session: SessionId, joined: u64) {
        let control = self.clone();
        self.tasks().spawn(async move {
            let context = control.context();
            tokio::select! {
                () = context.stopping.cancelled() => return,
                () = tokio::time::sleep(context.parts.session_grace) => {}
            }
            if let Err(refusal) = control.end_if_empty(session, joined).await {
                tracing::error!(%session, %refusal, "a session that nobody is in could not be ended");
            }
        });
    }

    /// After a start of the server: nobody is connected yet.
    pub(crate) async fn linger_all(&self) -> Result<(), Refusal> {
        let mut tx = self.store().read("sessions that nobody asked for").await.map_err(refused)?;
        let running = tx.active_sessions(None).await.map_err(refused)?;
        running.iter().filter(|session| !session.explicit).for_each(|session| self.linger(session.id, 0));
        Ok(())
    }

    async fn end_if_empty(&self, id: SessionId, joined: u64) -> Result<(), Refusal> {
        let mut drivers = self.drivers().lock().await;
        if self.context().presence.empty_since(id) != Some(joined) {
            return Ok(());
        }
        let mut tx = self.store().write("end an empty session").await.map_err(refused)?;
        let running = tx.active_sessions(None).await.map_err(refused)?;
        let Some(session) = running.into_iter().find(|session| session.id == id && !session.explicit) else {
            return Ok(());
        };
        let by = By::platform(session.project);
        tx.end_session(id).await.map_err(refused)?;
        let data = json!({"by": by.actor, "reason": "the last participant has left"});
        tx.add_event(id, "session.terminated", &data).await.map_err(refused)?;
        tx.audit(&by.audited("session.terminate", id.to_string())).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        self.context().end_room(id);
        let ending = drivers.take(id);
        drop(drivers);
        ending.finish().await;
        Ok(())
    }
}
