//! What these tests share: a store in a directory of its own, and a registry whose answers a test scripts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use meshkeep_core::secret::PullCredential;
use meshkeep_image::{
    Digest, HostSettings, Image, ImageError, Images, ImagesConfig, LayerProgress, Progress, Reference,
    RegistrySettings,
    testing::{Answer, ImageParts, Seen, Server, Silent, answer},
};
use serde_json::json;
use tempfile::TempDir;

/// A store with its directory.
pub struct Shelf {
    pub images: Images,
    pub dir: TempDir,
}

impl Shelf {
    pub async fn new(registries: RegistrySettings) -> Self {
        Self::with(registries, |_| {}).await
    }

    pub async fn with(registries: RegistrySettings, change: impl FnOnce(&mut ImagesConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ImagesConfig::new(dir.path().join("images"));
        config.registries = registries;
        change(&mut config);
        Self { images: Images::open(config).await.unwrap(), dir }
    }

    pub async fn fetch(&self, reference: &str, credential: Option<&PullCredential>) -> Result<Image, ImageError> {
        self.images.fetch(&reference.parse::<Reference>().unwrap(), credential, Arc::new(Silent)).await
    }

    /// Names of the files in one of the store's directories.
    pub fn files(&self, part: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join("images").join(part)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Whether nothing was stored and nothing is left over.
    pub fn is_bare(&self) -> bool {
        ["layers", "images", "tmp"].iter().all(|part| self.files(part).is_empty())
    }
}

/// A progress that keeps what it is told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<LayerProgress>>);

impl Progress for Told {
    fn layer(&self, progress: LayerProgress) {
        self.0.lock().unwrap().push(progress);
    }
}

pub fn credential(server: &str) -> PullCredential {
    PullCredential { server: server.into(), username: "robot".into(), password: "hunter2-hunter2".into() }
}

/// `robot:hunter2-hunter2` as it is sent.
pub const BASIC: &str = "Basic cm9ib3Q6aHVudGVyMi1odW50ZXIy";

pub fn insecure(hosts: &[&str]) -> RegistrySettings {
    let section = HostSettings { insecure: true, ..HostSettings::default() };
    let hosts: BTreeMap<_, _> = hosts.iter().map(|host| (host.parse().unwrap(), section.clone())).collect();
    RegistrySettings::new(hosts)
}

/// Asserts that a refusal has this code and holds nothing of [`credential`], nor does its debug form.
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, ImageError>, code: &str) -> ImageError {
    let error = outcome.unwrap_err();
    let refusal = error.refusal();
    assert_eq!(refusal.code, code, "{refusal:?}");
    assert!(!refusal.hint.is_empty(), "{refusal:?}");
    let all = format!("{error} {error:?} {refusal:?}");
    assert!(!all.contains("hunter2") && !all.contains("cm9ib3Q6"), "{all}");
    error
}

/// The answers of a registry that holds `parts` as `team/app:1`, to whoever asks.
pub fn serve_parts(parts: &ImageParts, seen: &Seen) -> Answer {
    let digest = parts.digest().to_string();
    let tail = seen.path.rsplit('/').next().unwrap_or_default();
    if seen.path == "/v2/team/app/manifests/1" || tail == digest {
        return answer(
            200,
            &[("content-type", ImageParts::MEDIA_TYPE), ("docker-content-digest", &digest)],
            parts.manifest.clone(),
        );
    }
    let blobs = parts.blobs.iter().chain([&parts.config]);
    match blobs.into_iter().find(|blob| digest_of(blob).to_string() == tail) {
        Some(blob) => answer(200, &[], blob.clone()),
        None => answer(404, &[], r#"{"errors":[{"code":"NAME_UNKNOWN","message":"not here"}]}"#),
    }
}

/// The same registry, asking for [`BASIC`] first.
pub fn with_password(seen: &Seen, then: impl FnOnce() -> Answer) -> Answer {
    if seen.authorization() == Some(BASIC) { then() } else { challenge(r#"Basic realm="x""#) }
}

pub fn challenge(text: &str) -> Answer {
    answer(
        401,
        &[("www-authenticate", text)],
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
    )
}

pub fn digest_of(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// An image of one small layer.
pub fn small() -> ImageParts {
    ImageParts::new(&[layer("hello", b"world")], &json!({}))
}

pub fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    meshkeep_image::testing::tar(&[(name, content)])
}

/// A registry on loopback that answers with `script`.
pub async fn scripted(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |seen| {
        let answer = script(&seen);
        async move { answer }
    })
    .await
}

/// Where the layer is fetched.
pub fn blob_path(bytes: &[u8]) -> String {
    format!("/v2/team/app/blobs/{}", digest_of(bytes))
}
