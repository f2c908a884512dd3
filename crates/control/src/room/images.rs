//! Images of a session: those that its containers run, and those that its participants pulled. Other sessions' are none
//! of its business, though layers lie in one store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use meshkeep_core::{
    Refusal, RefusalKind, SecretText, access::Action, id::SessionId, secret::PullCredential, service::ServiceSpec,
};
use meshkeep_image::{Image, ImageError, LayerProgress, Progress, Reference};
use serde::Deserialize;

use super::Member;
use crate::reconcile::{Fetched, Pull, chosen};

/// Images that one session's participants may have pulled.
const MAX_PULLED: usize = 100;

/// What participants pulled, until their sessions end.
#[derive(Debug, Default)]
pub(crate) struct Pulled(Mutex<HashMap<SessionId, BTreeMap<String, Image>>>);

impl Pulled {
    /// Forgets those of a session that is over.
    pub(crate) fn forget(&self, session: SessionId) {
        self.with(|all| all.remove(&session));
    }

    /// All of them, so that none is collected.
    pub(crate) fn all(&self) -> Vec<Image> {
        self.with(|all| all.values().flat_map(BTreeMap::values).cloned().collect())
    }

    fn of(&self, session: SessionId) -> Vec<Image> {
        self.with(|all| all.get(&session).into_iter().flat_map(BTreeMap::values).cloned().collect())
    }

    fn with<T>(&self, change: impl FnOnce(&mut HashMap<SessionId, BTreeMap<String, Image>>) -> T) -> T {
        // Each change is one insert or remove.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A registry credential that a participant brings along for one fetch. It is kept nowhere.
#[derive(Clone, Debug, Deserialize)]
pub struct ImageCredential {
    /// The registry; the image's own when absent.
    #[serde(default)]
    pub registry: Option<String>,
    /// The user name.
    pub username: SecretText,
    /// The password or token.
    pub password: SecretText,
}

/// An image of the session.
#[derive(Clone, Debug)]
pub struct RoomImage {
    /// Its digest.
    pub id: String,
    /// As it was named.
    pub references: Vec<String>,
    /// Bytes that its layers take on the disk.
    pub bytes: u64,
}

impl Member {
    /// Proves that the credentials open the image, and makes its layers present.
    ///
    /// # Errors
    /// `Forbidden`; why it cannot be had.
    pub async fn pull_image(&self, tag: &str, credentials: Vec<ImageCredential>) -> Result<(), Refusal> {
        let allowed = self.participant.scope.containers.as_ref().is_some_and(|containers| containers.may_pull(tag));
        self.participant.may(allowed, "containers", Action::RunSessions)?;
        let image = self.fetched(tag, &credentials).await?;
        let pulled = &self.control.context().pulled;
        let fits = pulled.with(|all| {
            let images = all.entry(self.session).or_default();
            let fits = images.len() < MAX_PULLED || images.contains_key(tag);
            if fits {
                images.insert(tag.to_owned(), image);
            }
            fits
        });
        if fits {
            return Ok(());
        }
        let message = format!("the session has pulled {MAX_PULLED} images");
        Err(Refusal::new(RefusalKind::Unavailable, "over_a_limit", message).hint("delete some of them"))
    }

    /// The session's images.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn images(&self) -> Result<Vec<RoomImage>, Refusal> {
        self.use_containers(Action::ReadServices)?;
        let mut found = BTreeMap::<String, RoomImage>::new();
        for image in self.run_images().await?.into_iter().chain(self.control.context().pulled.of(self.session)) {
            let id = image.digest.to_string();
            let shown = found.entry(id.clone()).or_insert_with(|| RoomImage {
                id,
                references: Vec::new(),
                bytes: bytes_of(&image),
            });
            if !shown.references.contains(&image.reference) {
                shown.references.push(image.reference);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Forgets an image that was pulled. Its layers go when nothing uses them.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`; `Conflict` for one that a container runs.
    pub async fn delete_image(&self, image: &str) -> Result<(), Refusal> {
        self.use_containers(Action::RunSessions)?;
        let is_it = |known: &Image| known.reference == image || known.digest.as_str() == image;
        if self.run_images().await?.iter().any(is_it) {
            return Err(Refusal::new(RefusalKind::Conflict, "in_use", "a container of the session runs this image"));
        }
        let pulled = &self.control.context().pulled;
        let forgotten = pulled.with(|all| {
            let images = all.entry(self.session).or_default();
            let before = images.len();
            images.retain(|_, known| !is_it(known));
            images.len() < before
        });
        if forgotten {
            return Ok(());
        }
        Err(Refusal::new(RefusalKind::NotFound, "not_found", "the session has no such image").hint("list the images"))
    }

    async fn fetched(&self, tag: &str, credentials: &[ImageCredential]) -> Result<Image, Refusal> {
        let reference: Reference = tag.parse().map_err(|why| ImageError::Reference(why).refusal())?;
        let pulls = brought(&reference, credentials);
        let images = &self.control.context().parts.images;
        let fetched = images.fetch(&reference, chosen(&reference, &pulls).1, Arc::new(Quiet)).await;
        fetched.map_err(|error| error.refusal())
    }

    /// What a container of a participant's own needs, with what it brought along.
    pub(super) async fn fetched_for(
        &self,
        spec: &ServiceSpec,
        credentials: &[ImageCredential],
    ) -> Result<Fetched, Refusal> {
        let image = spec.container.as_ref().map_or("", |container| container.image.as_str());
        let reference: Reference = image.parse().map_err(|why| ImageError::Reference(why).refusal())?;
        let pulls = brought(&reference, credentials);
        self.control.context().fetch_with(spec, &pulls, Arc::new(Quiet)).await
    }

    async fn run_images(&self) -> Result<Vec<Image>, Refusal> {
        let workloads = self.workloads().await?.into_iter();
        let fetched = workloads.filter_map(|workload| serde_json::from_str::<Fetched>(workload.image.as_deref()?).ok());
        Ok(fetched.flat_map(|fetched| fetched.all().cloned().collect::<Vec<_>>()).collect())
    }
}

/// Credentials as the rule for pull secrets takes them. One that names no registry is for the image's own, behind those that
/// name it.
fn brought(image: &Reference, credentials: &[ImageCredential]) -> Vec<Pull> {
    let (named, nameless): (Vec<_>, Vec<_>) =
        credentials.iter().partition(|one| one.registry.as_deref().is_some_and(|registry| !registry.is_empty()));
    let pull = |(server, one): (&str, &ImageCredential)| Pull {
        name: None,
        credential: PullCredential {
            server: server.to_owned(),
            username: one.username.clone(),
            password: one.password.clone(),
        },
    };
    let named = named.into_iter().map(|one| (one.registry.as_deref().unwrap_or_default(), one));
    let nameless = nameless.into_iter().map(|one| (image.registry().as_str(), one));
    named.chain(nameless).map(pull).collect()
}

fn bytes_of(image: &Image) -> u64 {
    image.layers.iter().filter_map(|layer| std::fs::metadata(&layer.path).ok()).map(|file| file.len()).sum()
}

/// Nobody is told how far it is.
struct Quiet;

impl Progress for Quiet {
    fn layer(&self, _: LayerProgress) {}
}
