//! The facade: references and credentials in, mountable images out.

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use meshkeep_core::secret::PullCredential;
use sha2::{Digest as _, Sha256};

use crate::{
    config,
    error::ImageError,
    image::{Digest, Image, Progress},
    layer::Limits,
    manifest::{self, ImageManifest, Manifest, ManifestFault, NoChoice},
    pull::Puller,
    records::{Collected, Records, Resolution},
    reference::Reference,
    registry::{Access, Document, MAX_DOCUMENT, Registries},
    remote_text::RemoteText,
    settings::RegistrySettings,
    store::Store,
};

/// Layers of one fetch that are downloaded at once.
const LAYERS_AT_ONCE: usize = 4;

/// How images are kept.
#[derive(Clone, Debug)]
pub struct ImagesConfig {
    /// The store's directory, made 0700.
    pub root: PathBuf,
    /// What the operator says about registries.
    pub registries: RegistrySettings,
    /// Bounds of one layer.
    pub layer_limits: Limits,
    /// Bytes that all layers may take on the disk; unbounded when `None`.
    pub disk_budget_bytes: Option<u64>,
    /// Layers that are converted at once, over all fetches. Each takes up to 32 MiB of memory.
    pub layers_at_once: usize,
    /// Images and layers younger than this are not collected, though nothing uses them (yet).
    pub grace: Duration,
}

impl ImagesConfig {
    /// The defaults: ordinary registries, no disk budget, 16 layers at once, 10 minutes of grace.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            registries: RegistrySettings::default(),
            layer_limits: Limits::default(),
            disk_budget_bytes: None,
            layers_at_once: 16,
            grace: Duration::from_secs(600),
        }
    }
}

/// Fetches images and keeps their layers. Cheap to clone.
#[derive(Clone)]
pub struct Images {
    inner: Arc<Inner>,
}

struct Inner {
    registries: Registries,
    records: Records,
    puller: Puller,
    grace: Duration,
}

/// What a reference resolved to.
struct Resolved {
    /// Of the document that the reference names: an image's manifest or a list.
    top: Digest,
    record: Resolution,
    manifest: ImageManifest,
    diff_ids: Vec<Digest>,
}

impl Images {
    /// Opens the store; removes what a crash left half done.
    ///
    /// # Errors
    /// The directory cannot be made or read, or the settings name a token service that is none.
    pub async fn open(config: ImagesConfig) -> Result<Self, ImageError> {
        if let Some((host, why)) = config.registries.fault() {
            return Err(ImageError::BadSettings { host: host.clone(), why });
        }
        let root = config.root.clone();
        let store = blocking(move || Store::open(&root)).await?;
        let store = Arc::new(store);
        let registries = Registries::new(config.registries)
            .map_err(|error| ImageError::io("no randomness")(std::io::Error::other(error)))?;
        let puller = Puller {
            store: Arc::clone(&store),
            limits: config.layer_limits,
            disk_budget: config.disk_budget_bytes,
            slots: tokio::sync::Semaphore::new(config.layers_at_once.max(1)),
        };
        let inner = Inner { registries, records: Records::new(store), puller, grace: config.grace };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Posts JSON to a URL that a manifest names, under the rules that hold for registries. The status that it answers;
    /// nothing else is read.
    ///
    /// # Errors
    /// When it is not dialled, or does not answer.
    pub async fn post(&self, url: &str, body: Vec<u8>) -> Result<u16, ImageError> {
        Ok(self.inner.registries.post(url, body).await?.as_u16())
    }

    /// Proves that `credential` opens the image (one request when nothing changed), and makes all its layers present.
    ///
    /// Dropping the future stops the downloads; nothing half done stays visible.
    ///
    /// # Errors
    /// See [`ImageError`]; none holds anything of the credential.
    pub async fn fetch(
        &self,
        reference: &Reference,
        credential: Option<&PullCredential>,
        progress: Arc<dyn Progress>,
    ) -> Result<Image, ImageError> {
        let registries = &self.inner.registries;
        let presented = registries.presented(reference, credential).await?;
        match self.fetch_presenting(reference, presented.credential(), &*progress).await {
            Err(error) if registries.asks_anew(reference, credential, &presented, &error).await => {
                let presented = registries.presented(reference, credential).await?;
                self.fetch_presenting(reference, presented.credential(), &*progress).await
            }
            fetched => fetched,
        }
    }

    async fn fetch_presenting(
        &self,
        reference: &Reference,
        credential: Option<&PullCredential>,
        progress: &dyn Progress,
    ) -> Result<Image, ImageError> {
        let access = self.inner.registries.access(reference, credential)?;
        let stated = access.head().await?;
        if let Some(digest) = &stated
            && let Some(image) = self.known(reference, digest).await?
        {
            return Ok(image);
        }
        let (top, document) = top(&access, stated.clone()).await?;
        if stated.is_none()
            && let Some(image) = self.known(reference, &top).await?
        {
            return Ok(image);
        }
        let resolved = resolve(&access, top, document).await?;
        // Pinned until the record names them.
        let _pins: Vec<_> = resolved.diff_ids.iter().map(|diff_id| self.inner.puller.store.pin(diff_id)).collect();
        self.pull(&access, &resolved, progress).await?;
        let (inner, reference) = (Arc::clone(&self.inner), reference.clone());
        blocking(move || inner.records.put(&reference, &resolved.top, resolved.record)).await
    }

    /// The image that was fetched before, when all of it is still here.
    async fn known(&self, reference: &Reference, digest: &Digest) -> Result<Option<Image>, ImageError> {
        let (inner, reference, digest) = (Arc::clone(&self.inner), reference.clone(), digest.clone());
        blocking(move || inner.records.get(&reference, &digest)).await
    }

    /// Proves that `credential` opens the image, and fetches nothing but its manifest. Answers the digest that the
    /// reference resolves to.
    ///
    /// # Errors
    /// As [`Images::fetch`].
    pub async fn check(
        &self,
        reference: &Reference,
        credential: Option<&PullCredential>,
    ) -> Result<Digest, ImageError> {
        let registries = &self.inner.registries;
        let presented = registries.presented(reference, credential).await?;
        match self.check_presenting(reference, presented.credential()).await {
            Err(error) if registries.asks_anew(reference, credential, &presented, &error).await => {
                let presented = registries.presented(reference, credential).await?;
                self.check_presenting(reference, presented.credential()).await
            }
            checked => checked,
        }
    }

    async fn check_presenting(
        &self,
        reference: &Reference,
        credential: Option<&PullCredential>,
    ) -> Result<Digest, ImageError> {
        let access = self.inner.registries.access(reference, credential)?;
        match access.head().await? {
            Some(digest) => Ok(digest),
            None => Ok(top(&access, None).await?.0),
        }
    }

    /// Removes image records that no tag leads to any more and layers that no record names; over the disk budget, also
    /// the images that were not used for the longest time. What `in_use` names (digests of images or of layers), what a
    /// fetch is busy with and what is younger than the grace time stays.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn collect_garbage(&self, in_use: &HashSet<Digest>) -> Result<Collected, ImageError> {
        let (inner, in_use) = (Arc::clone(&self.inner), in_use.clone());
        blocking(move || inner.records.collect(&in_use, inner.puller.disk_budget, inner.grace)).await
    }

    /// Bytes that the layers take on the disk.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn used_bytes(&self) -> Result<u64, ImageError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.puller.store.used_bytes()).await
    }

    /// Fetches what is missing, several layers side by side; the first error stops the others.
    async fn pull(&self, access: &Access<'_>, resolved: &Resolved, progress: &dyn Progress) -> Result<(), ImageError> {
        let mut seen = HashSet::new();
        let wanted: Vec<_> = resolved
            .manifest
            .layers
            .iter()
            .zip(&resolved.diff_ids)
            .filter(|(blob, diff_id)| seen.insert((blob.digest.clone(), (*diff_id).clone())))
            .collect();
        let fetch = |(blob, diff_id)| self.inner.puller.layer(access, blob, diff_id, progress);
        // As values: with the closure inside, the compiler cannot see that the whole fetch may move between threads.
        let fetches: Vec<_> = wanted.into_iter().map(fetch).collect();
        stream::iter(fetches).buffer_unordered(LAYERS_AT_ONCE).try_collect().await
    }
}

/// The document that the reference names, by the digest that is known of it.
async fn top(access: &Access<'_>, stated: Option<Digest>) -> Result<(Digest, Document), ImageError> {
    let reference = access.reference();
    let pinned = stated.or_else(|| reference.digest().cloned());
    let document = access.manifest(pinned.as_ref().map_or(reference.wanted(), Digest::as_str)).await?;
    Ok((check_digest(&document.bytes, pinned.as_ref(), "manifest")?, document))
}

/// Everything that must be known before layers are fetched.
async fn resolve(access: &Access<'_>, top: Digest, document: Document) -> Result<Resolved, ImageError> {
    let refuse = |why| ImageError::BadManifest { image: access.reference().to_string(), why };
    let (image, manifest) = match manifest::parse(&document.media_type, &document.bytes).map_err(refuse)? {
        Manifest::Image(manifest) => (top.clone(), manifest),
        Manifest::Index(entries) => {
            let chosen = manifest::choose(&entries, manifest::architecture()).map_err(|why| match why {
                NoChoice::Fault(fault) => refuse(fault),
                NoChoice::Offered(offered) => wrong_architecture(access, &offered),
            })?;
            let document = access.manifest(chosen.digest.as_str()).await?;
            check_size(&chosen.digest, chosen.size, document.bytes.len(), "manifest")?;
            check_digest(&document.bytes, Some(&chosen.digest), "manifest")?;
            if document.media_type != chosen.media_type {
                return Err(refuse(ManifestFault::Disagreement));
            }
            match manifest::parse(&document.media_type, &document.bytes).map_err(refuse)? {
                Manifest::Image(manifest) => (chosen.digest, manifest),
                Manifest::Index(_) => return Err(refuse(ManifestFault::NestedIndex)),
            }
        }
    };
    let (digest, size) = (&manifest.config.digest, manifest.config.size);
    if size > MAX_DOCUMENT as u64 {
        return Err(refuse(ManifestFault::Size));
    }
    let bytes = access.document(digest).await?;
    check_size(digest, size, bytes.len(), "config")?;
    check_digest(&bytes, Some(digest), "config")?;
    let read = config::parse(&bytes, manifest.layers.len()).map_err(refuse)?;
    if read.platform != format!("linux/{}", manifest::architecture()) {
        return Err(wrong_architecture(access, &read.platform));
    }
    let record = Resolution { image, config: read.config, layers: read.diff_ids.clone() };
    Ok(Resolved { top, record, manifest, diff_ids: read.diff_ids })
}

fn wrong_architecture(access: &Access<'_>, offered: &str) -> ImageError {
    ImageError::WrongArchitecture {
        image: access.reference().to_string(),
        wanted: format!("linux/{}", manifest::architecture()),
        offered: RemoteText::new(offered, access.credential()),
    }
}

/// The digest of `bytes`, which must be `expected` when that is known.
fn check_digest(bytes: &[u8], expected: Option<&Digest>, what: &'static str) -> Result<Digest, ImageError> {
    let digest = Digest::from_bytes(Sha256::digest(bytes).into());
    match expected {
        Some(expected) if *expected != digest => Err(ImageError::DigestMismatch { what, expected: expected.clone() }),
        _ => Ok(digest),
    }
}

fn check_size(digest: &Digest, expected: u64, size: usize, what: &'static str) -> Result<(), ImageError> {
    if size as u64 == expected {
        Ok(())
    } else {
        Err(ImageError::SizeMismatch { what, digest: digest.clone(), expected })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let ended = |error| ImageError::io("a thread of the image store ended")(std::io::Error::other(error));
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}
