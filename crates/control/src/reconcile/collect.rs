//! Removes, now and then, what no running session and no recent fetch uses of the layer store.

use std::{collections::HashSet, sync::Arc, time::Duration};

use meshkeep_image::{Digest, Image};
use meshkeep_store::StoreError;

use super::Context;
use crate::refusals::chain;

/// Between two collections.
const PAUSE: Duration = Duration::from_secs(3600);

/// Collects until the server stops.
pub(crate) async fn collect_images(context: Arc<Context>) {
    loop {
        tokio::select! {
            () = context.stopping.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        let in_use = match in_use(&context).await {
            Ok(in_use) => in_use,
            Err(error) => {
                tracing::error!(error = %chain(&error), "images in use are not known; none is collected");
                continue;
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
}

/// The images of running sessions, with their layers. What was fetched and not recorded yet is too young to be collected.
async fn in_use(context: &Context) -> Result<HashSet<Digest>, StoreError> {
    let mut tx = context.parts.store.read("images in use").await?;
    let mut in_use = HashSet::new();
    for session in tx.active_sessions(None).await? {
        for workload in tx.workloads(session.project, session.id).await? {
            let image = workload.image.as_deref().and_then(|text| serde_json::from_str(text).ok());
            if let Some(Image { digest, layers, .. }) = image {
                in_use.insert(digest);
                in_use.extend(layers.into_iter().map(|layer| layer.diff_id));
            }
        }
    }
    Ok(in_use)
}
