//! What a launch needs of registries: the service's image, and the images that it mounts.

use meshkeep_image::Image;
use serde::{Deserialize, Serialize};

/// Proven and fetched with one launch's own pull secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fetched {
    /// The service's own.
    #[serde(flatten)]
    pub(crate) image: Image,
    /// Those of `container.storage.images`, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mounted: Vec<Image>,
}

impl Fetched {
    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Image> {
        std::iter::once(&self.image).chain(&self.mounted)
    }
}
