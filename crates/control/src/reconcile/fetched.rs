//! What a launch needs of registries: the service's image, and the images that it mounts.

use meshkeep_core::service::ServiceSpec;
use meshkeep_image::{Chosen, Image, Reference};
use serde::{Deserialize, Serialize};

/// Proven and fetched with one launch's own pull secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fetched {
    /// The service's own.
    #[serde(flatten)]
    pub(crate) image: Image,
    /// Those of `container.storage.images`, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mounted: Vec<Image>,
    /// Which of the pull secrets opened them.
    #[serde(default)]
    pub(crate) opened: Openings,
}

/// Which pull secrets were used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Openings {
    /// For the service's own image.
    pub(crate) own: Option<Opened>,
    /// For those that it mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mounted: Vec<Opened>,
}

/// A pull secret that was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// Its place among the workload's.
    pub(crate) position: usize,
    /// The registry, and the part of the path, that it is for.
    pub(crate) scope: String,
}

impl From<Chosen> for Opened {
    fn from(Chosen { position, scope }: Chosen) -> Self {
        Self { position, scope: scope.to_string() }
    }
}

impl Fetched {
    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Image> {
        std::iter::once(&self.image).chain(&self.mounted)
    }

    /// Whether every layer is still where it was: on a host that was restored from a backup none is.
    pub(crate) fn is_here(&self) -> bool {
        self.all().flat_map(|image| &image.layers).all(|layer| layer.path.exists())
    }

    /// The manifest with exactly these images, whatever its tags lead to by now.
    pub(crate) fn pinned(&self, spec: &ServiceSpec) -> ServiceSpec {
        let mut spec = spec.clone();
        let pin = |text: &mut String, image: &Image| {
            // What was fetched once has a good reference.
            if let Ok(reference) = text.parse::<Reference>() {
                *text = reference.pinned(&image.digest);
            }
        };
        if let Some(container) = &mut spec.container {
            pin(&mut container.image, &self.image);
            let mounts = container.storage.iter_mut().flat_map(|storage| &mut storage.images);
            mounts.zip(&self.mounted).for_each(|(mount, image)| pin(&mut mount.image, image));
        }
        spec
    }

    /// The same, called as before.
    pub(crate) fn named_as(mut self, before: &Self) -> Self {
        self.image.reference.clone_from(&before.image.reference);
        for (image, before) in self.mounted.iter_mut().zip(&before.mounted) {
            image.reference.clone_from(&before.reference);
        }
        self
    }
}
