//! Credentials at hand for a fetch, and which of them an image gets.

use meshkeep_core::{Refusal, name::SecretName, secret::PullCredential, service::ServiceSpec};
use meshkeep_image::{ImageError, Reference, choose};

use super::Opened;

/// A credential, opened for one fetch.
pub(crate) struct Pull {
    /// The pull secret that it is of; none for one that somebody brought along.
    pub(crate) name: Option<SecretName>,
    /// What it is.
    pub(crate) credential: PullCredential,
}

impl Pull {
    /// As the person wrote it.
    pub(crate) fn server(&self) -> &str {
        &self.credential.server
    }

    /// The refusal of an image that was fetched with one of several: it says which.
    pub(crate) fn named(pulls: &[Self], opened: Option<&Opened>, refusal: Refusal) -> Refusal {
        let name = opened.and_then(|opened| pulls.get(opened.position)?.name.as_ref()).filter(|_| pulls.len() > 1);
        let Some(name) = name else { return refusal };
        Refusal { message: format!("with the pull secret {name}: {}", refusal.message), ..refusal }
    }
}

/// What an image is fetched with.
pub(crate) fn chosen<'p>(image: &Reference, pulls: &'p [Pull]) -> (Option<Opened>, Option<&'p PullCredential>) {
    let chosen = choose(image, pulls.iter().map(Pull::server));
    let credential = chosen.as_ref().map(|chosen| &pulls[chosen.position].credential);
    (chosen.map(Opened::from), credential)
}

/// The images that a service needs: its own, then those that it mounts.
///
/// # Errors
/// `Invalid`: one has no good name.
pub(super) fn images(spec: &ServiceSpec) -> Result<Vec<Reference>, Refusal> {
    let container = spec.container.iter();
    let mounts = container.clone().flat_map(|container| &container.storage).flat_map(|storage| &storage.images);
    let named = container.map(|container| &container.image).chain(mounts.map(|mount| &mount.image));
    named.map(|image| image.parse().map_err(|why| ImageError::Reference(why).refusal())).collect()
}
