//! Services of a room follow edits within the room's running session. Those of the project do not: theirs is the next one.

use meshkeep_core::{
    Refusal,
    id::{ProjectId, RoomId, ServiceId, SessionId},
    plan,
};
use meshkeep_store::{Scope, Service, Session, Tx, Workload};
use serde_json::json;

use crate::{
    Control,
    caller::By,
    ops::starts_with_session,
    reconcile::{Launch, Recipe},
    refusals::refused,
};

impl Control {
    /// Brings the session of the service's room, if one runs, to what is saved now. What goes wrong is an event of the
    /// session: the save is done.
    pub(super) async fn follow_edit(&self, by: By, scope: Scope, service: ServiceId) {
        let Scope::Room(room) = scope else { return };
        let control = self.clone();
        // Goes on when the asker does not.
        self.tasks().spawn(async move {
            let project = by.project;
            if let Err((session, refusal)) = control.follow(&by, project, room, service).await {
                tracing::warn!(%service, %refusal, "an edit of a room's service was not taken over");
                if let Some(session) = session {
                    control.note_not_followed(session, service, &refusal).await;
                }
            }
        });
    }

    async fn follow(
        &self,
        by: &By,
        project: ProjectId,
        room: RoomId,
        id: ServiceId,
    ) -> Result<(), (Option<SessionId>, Refusal)> {
        let mut drivers = self.drivers().lock().await;
        let early = |refusal| (None, refusal);
        let mut tx = self.store().write("follow an edit").await.map_err(refused).map_err(early)?;
        let session = tx.active_session_of(room).await.map_err(refused).map_err(early)?;
        let Some(session) = session else { return Ok(()) };
        let failed = |refusal| (Some(session.id), refusal);
        let saved = tx.service(project, Scope::Room(room), id).await.map_err(refused).map_err(failed)?;
        let mut all = tx.workloads(project, session.id).await.map_err(refused).map_err(failed)?;
        let running = all.iter().position(|workload| workload.service == id);
        match (saved.filter(starts_with_session), running) {
            (None, None) => Ok(()),
            (Some(service), None) => {
                let added = self.added(&mut tx, by, &session, service, &all).await.map_err(failed)?;
                tx.commit().await.map_err(refused).map_err(failed)?;
                all.push(added.clone());
                drivers.meet(session.id, &all);
                drivers.start(Launch::recorded(&session, added));
                Ok(())
            }
            (None, Some(at)) => {
                let workload = all.remove(at);
                tx.forget_workload(workload.id).await.map_err(refused).map_err(failed)?;
                let data = json!({"by": by.actor, "service": workload.service_name, "service_id": id});
                tx.add_event(session.id, "service.removed", &data).await.map_err(refused).map_err(failed)?;
                tx.commit().await.map_err(refused).map_err(failed)?;
                let gone = drivers.take_one(workload.id);
                drivers.meet(session.id, &all);
                drop(drivers);
                gone.finish().await;
                Ok(())
            }
            // Somebody asked for it by itself; the next asker gets the newest.
            (Some(_), Some(at)) if all[at].asked.is_some() => Ok(()),
            (Some(_), Some(_)) => {
                drop((drivers, tx));
                self.restart(by, session.id, id).await.map_err(failed)
            }
        }
    }

    /// One more workload, recorded in this transaction.
    async fn added(
        &self,
        tx: &mut Tx,
        by: &By,
        session: &Session,
        service: Service,
        all: &[Workload],
    ) -> Result<Workload, Refusal> {
        let place =
            plan::free_place(all.iter().map(|workload| (&workload.service_name, workload.place)), &service.name)?;
        let (recipe, missing) = Recipe::newest(tx, session.project, service.spec).await.map_err(refused)?;
        let mut workload = recipe.workload(session.id, (service.id, service.name), place, missing);
        tx.create_workload(session.project, &mut workload).await.map_err(refused)?;
        let data = json!({"by": by.actor, "service": workload.service_name, "service_id": service.id});
        tx.add_event(session.id, "service.added", &data).await.map_err(refused)?;
        Ok(workload)
    }

    async fn note_not_followed(&self, session: SessionId, service: ServiceId, refusal: &Refusal) {
        let data = json!({
            "service_id": service, "code": refusal.code, "message": refusal.message, "hint": refusal.hint,
        });
        let noted = async {
            let mut tx = self.store().write("note an edit").await?;
            tx.add_event(session, "service.not_updated", &data).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::error!(%session, %error, "an event could not be recorded");
        }
        self.context().live.note();
    }
}
