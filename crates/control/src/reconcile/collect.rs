//! Removes, now and then, what no running session and no recent fetch uses of the layer store, the records of what is long
//! over, and secrets that were deleted long ago. The audit is never shortened.

use std::{collections::HashSet, sync::Arc, time::Duration};

use meshkeep_image::{Digest, Image};
use meshkeep_store::StoreError;

use super::{Context, Fetched};
use crate::{ops::secrets::delete::purge, refusals::chain};

/// Between two collections.
const PAUSE: Duration = Duration::from_secs(3600);

/// Ended sessions that a project keeps, the newest ones.
const ENDED_SESSIONS: u32 = 1_000;

/// Events that a session keeps, the newest ones: as many as a list shows at once.
const EVENTS: u32 = 10_000;

/// Collects until the server stops.
pub(crate) async fn collect(context: Arc<Context>) {
    loop {
        tokio::select! {
            () = context.stopping.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        collect_images(&context).await;
        if let Err(error) = forget(&context).await {
            tracing::error!(error = %chain(&error), "what is long over could not be removed");
        }
    }
}

async fn collect_images(context: &Context) {
    let in_use = match in_use(context).await {
        Ok(in_use) => in_use,
        Err(error) => {
            tracing::error!(error = %chain(&error), "images in use are not known; none is collected");
            return;
        }
    };
    match context.parts.images.collect_garbage(&in_use).await {
        Ok(collected) => tracing::info!(
            images = collected.images,
            layers = collected.layers,
            bytes = collected.bytes,
            "collected images that nothing uses"
        ),
        Err(error) => tracing::error!(error = %chain(&error), "images could not be collected"),
    }
}

async fn forget(context: &Context) -> Result<(), StoreError> {
    let mut tx = context.parts.store.write("forget ended sessions").await?;
    let sessions = tx.forget_ended_sessions(ENDED_SESSIONS).await?;
    let events = tx.forget_old_events(EVENTS).await?;
    tx.commit().await?;
    tracing::debug!(sessions, events, "forgot what is long over");
    let secrets = purge(&context.parts.store, context.parts.clock.now(), context.parts.keep_deleted_days).await?;
    if secrets > 0 {
        tracing::info!(secrets, "removed secrets that were deleted long ago");
    }
    Ok(())
}

/// The images of running sessions, with their layers. What was fetched and not recorded yet is too young to be collected.
async fn in_use(context: &Context) -> Result<HashSet<Digest>, StoreError> {
    let mut tx = context.parts.store.read("images in use").await?;
    let mut in_use = HashSet::new();
    for Image { digest, layers, .. } in context.pulled.all() {
        in_use.insert(digest);
        in_use.extend(layers.into_iter().map(|layer| layer.diff_id));
    }
    for session in tx.active_sessions(None).await? {
        for workload in tx.workloads(session.project, session.id).await? {
            let fetched = workload.image.as_deref().and_then(|text| serde_json::from_str::<Fetched>(text).ok());
            for Image { digest, layers, .. } in fetched.iter().flat_map(Fetched::all) {
                in_use.insert(digest.clone());
                in_use.extend(layers.iter().map(|layer| layer.diff_id.clone()));
            }
        }
    }
    Ok(in_use)
}
