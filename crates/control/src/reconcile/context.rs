//! What every driver works with.

use std::sync::Arc;

use meshkeep_core::{Refusal, Timestamp, service::ServiceSpec};
use meshkeep_engine::Observed;
use meshkeep_image::{Progress, none_chosen};
use meshkeep_store::{StoreError, WorkloadUpdate};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Fetched, Launch, Live, Openings, Pull, Recipe, chosen, observer::Observations, pull::images, recipe::deleted,
};
use crate::{
    control::Parts,
    ops::audit::RefusedAttempts,
    refusals::{chain, internal, refused},
    room::{Presence, Pulled},
    secret_input,
};

/// Handles, and what is known of all workloads.
pub(crate) struct Context {
    /// Store, images, engine, clock and settings.
    pub(crate) parts: Parts,
    /// The newest word on each workload.
    pub(crate) live: Live,
    /// Who is in which session.
    pub(crate) presence: Presence,
    /// What participants pulled.
    pub(crate) pulled: Pulled,
    /// Bounds what refused attempts write.
    pub(crate) refused: RefusedAttempts,
    /// What the engine has.
    pub(crate) observations: watch::Receiver<Observations>,
    /// Cancelled when the server stops.
    pub(crate) stopping: CancellationToken,
}

impl Context {
    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// A session's record has ended: its participants have nothing to be in any more.
    pub(crate) fn end_room(&self, session: meshkeep_core::id::SessionId) {
        self.presence.close(session);
        self.pulled.forget(session);
    }

    /// What the engine has of a workload.
    pub(super) fn observed(&self, launch: &Launch) -> Option<Observed> {
        self.observations.borrow().get(&launch.id).cloned()
    }

    /// Proves with the recipe's pull secrets that its images may be had, and makes their layers present.
    ///
    /// # Errors
    /// As [`Context::pulls`]; in the image's words. None names a value.
    pub(crate) async fn fetch(&self, recipe: &Recipe, progress: Arc<dyn Progress>) -> Result<Fetched, Refusal> {
        let pulls = self.pulls(recipe).await?;
        self.fetch_with(&recipe.spec, &pulls, progress).await
    }

    /// The same with credentials of somebody's own. Each image is fetched with the one whose server names the longest part
    /// of its path, and one that none of them is for without any.
    pub(crate) async fn fetch_with(
        &self,
        spec: &ServiceSpec,
        pulls: &[Pull],
        progress: Arc<dyn Progress>,
    ) -> Result<Fetched, Refusal> {
        let mut fetched = Vec::new();
        for image in images(spec)? {
            let (opened, credential) = chosen(&image, pulls);
            let found = self.parts.images.fetch(&image, credential, Arc::clone(&progress)).await;
            let found = found.map_err(|error| Pull::named(pulls, opened.as_ref(), error.refusal()))?;
            fetched.push((found, opened));
        }
        let mut fetched = fetched.into_iter();
        let (image, own) = fetched.next().ok_or_else(|| Refusal::invalid("container", "is missing"))?;
        let (mounted, opened): (_, Vec<_>) = fetched.unzip();
        Ok(Fetched { image, mounted, opened: Openings { own, mounted: opened.into_iter().flatten().collect() } })
    }

    /// What the recipe's pull secrets hold.
    ///
    /// # Errors
    /// When one was deleted, or the store refuses, or none of them is for any of the recipe's images.
    pub(crate) async fn pulls(&self, recipe: &Recipe) -> Result<Vec<Pull>, Refusal> {
        let mut pulls = Vec::with_capacity(recipe.pull_secrets.len());
        if recipe.pull_secrets.is_empty() {
            return Ok(pulls);
        }
        let mut tx = self.parts.store.read("open pull secrets").await.map_err(refused)?;
        for secret in &recipe.pull_secrets {
            let opened = tx.open_secret(secret.project, secret.id, secret.version).await.map_err(refused)?;
            let entries = opened.ok_or_else(|| deleted(&format!("the pull secret {} ({})", secret.name, secret.id)))?;
            let credential = secret_input::pull_credential(entries, &secret.name)?;
            pulls.push(Pull { name: Some(secret.name.clone()), credential });
        }
        let images = images(&recipe.spec)?;
        if images.iter().all(|image| chosen(image, &pulls).0.is_none()) {
            let own = images.first().ok_or_else(|| Refusal::invalid("container", "is missing"))?;
            return Err(none_chosen(own, pulls.iter().map(Pull::server)).refusal());
        }
        Ok(pulls)
    }

    /// Records where a workload is, with what happened. A store that refuses is logged: the next record, or the next
    /// start of the server, has it from the engine again.
    pub(super) async fn save(&self, launch: &Launch, event: Option<(&'static str, Value)>) {
        if let Err(error) = self.try_save(launch, event).await {
            tracing::error!(workload = %launch.id, error = %chain(&error), "a state could not be recorded");
        }
        // The event, if there is one, can be read from now on.
        self.live.note();
    }

    async fn try_save(&self, launch: &Launch, event: Option<(&'static str, Value)>) -> Result<(), StoreError> {
        let image = launch.image.as_ref().map(written);
        let mut tx = self.parts.store.write("record workload").await?;
        let update = WorkloadUpdate {
            state: &launch.state,
            image: image.as_deref(),
            attempt: launch.attempt,
            restarts: launch.restarts,
            exit_code: launch.exit_code,
            started_at: launch.started_at,
        };
        if !tx.save_workload(launch.id, &update).await? {
            return Ok(()); // it was deleted, and its driver is being told
        }
        if let Some((kind, data)) = event {
            tx.add_event(launch.session, kind, &data).await?;
        }
        tx.commit().await
    }

    /// Records that it is launched anew by hand, before anything is done for it.
    ///
    /// # Errors
    /// When the store refuses; nothing was changed then.
    pub(super) async fn save_relaunch(&self, launch: &Launch) -> Result<(), Refusal> {
        let recorded = meshkeep_store::Workload {
            id: launch.id,
            session: launch.session,
            service: launch.service,
            service_name: launch.service_name.clone(),
            place: 0,    // stays as it is recorded
            asked: None, // likewise
            spec: launch.recipe.spec.clone(),
            secrets: launch.recipe.secrets.clone(),
            pull_secrets: launch.recipe.pull_secrets.clone(),
            state: launch.state.clone(),
            image: launch.image.as_ref().map(written),
            attempt: launch.attempt,
            restarts: launch.restarts,
            exit_code: launch.exit_code,
            started_at: launch.started_at,
        };
        let mut tx = self.parts.store.write("relaunch workload").await.map_err(refused)?;
        tx.relaunch_workload(launch.project, &recorded).await.map_err(refused)?;
        tx.commit().await.map_err(refused)
    }

    /// Ends a workload in the engine and forgets it there.
    ///
    /// # Errors
    /// What the engine said; it may be tried again.
    pub(super) async fn clear(&self, id: meshkeep_core::id::WorkloadId) -> Result<(), Refusal> {
        use meshkeep_engine::EngineError::NotFound;
        match self.parts.engine.stop(id, super::driver::GRACE).await {
            Ok(()) | Err(NotFound(_)) => {}
            Err(error) => return Err(internal("a service could not be stopped", &error)),
        }
        match self.parts.engine.remove(id).await {
            Ok(()) | Err(NotFound(_)) => Ok(()),
            Err(error) => Err(internal("what a service left could not be removed", &error)),
        }
    }
}

fn written(image: &Fetched) -> String {
    serde_json::to_string(image).expect("an image is JSON")
}
