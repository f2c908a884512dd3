//! The layer store: `layers/<diff id>.erofs`, complete and synced, beside `layers/<diff id>.json`, which says where the
//! layer was seen and what the file's digest is.
//!
//! What must stay true: a name under `layers/` is there only when its file is whole, checked and on the disk; everything
//! unfinished is in `tmp/`, which is emptied at start. A layer that is in use is never removed: users hold a [`Pin`].

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use meshkeep_core::{Clock as _, clock::SystemClock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::{error::ImageError, host::RegistryHost, image::Digest};

/// Largest file of ours that is read back whole.
const MAX_OWN_FILE: u64 = 16 << 20;

/// The store's directories.
pub(crate) struct Store {
    root: PathBuf,
    pins: Mutex<HashMap<Digest, Pinned>>,
}

struct Pinned {
    users: usize,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Where a layer's content was seen: as which blob of which registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Source {
    pub registry: RegistryHost,
    pub blob: Digest,
}

/// What is noted of a layer.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Noted {
    Now {
        sha256: Option<String>,
        sources: BTreeSet<Source>,
    },
    /// Before digests were noted.
    Before(BTreeSet<Source>),
}

impl Noted {
    pub fn sha256(self) -> Option<String> {
        match self {
            Self::Now { sha256, .. } => sha256,
            Self::Before(_) => None,
        }
    }

    fn sources(self) -> BTreeSet<Source> {
        match self {
            Self::Now { sources, .. } | Self::Before(sources) => sources,
        }
    }
}

#[derive(Serialize)]
struct Noting<'a> {
    sha256: Option<&'a str>,
    sources: &'a BTreeSet<Source>,
}

/// Keeps a layer from being removed, and orders those who want to write it.
pub(crate) struct Pin {
    store: Arc<Store>,
    diff_id: Digest,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Pin {
    /// Waits until nobody else fetches this layer.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.store.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pinned) = pins.get_mut(&self.diff_id) {
            pinned.users -= 1;
            if pinned.users == 0 {
                pins.remove(&self.diff_id);
            }
        }
    }
}

impl Store {
    /// Opens the store, makes what is missing, and removes what a crash left.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        let failed = || ImageError::io("the image store cannot be opened");
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for part in ["", "layers", "images", "tmp"] {
            let path = root.join(part);
            builder.create(&path).map_err(failed())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(failed())?;
        }
        for entry in fs::read_dir(root.join("tmp")).map_err(failed())? {
            fs::remove_file(entry.map_err(failed())?.path()).map_err(failed())?;
        }
        let store = Self { root: root.to_owned(), pins: Mutex::default() };
        store.remove_strays().map_err(failed())?;
        Ok(store)
    }

    /// What a crash within a removal leaves: the second of a layer's two files.
    fn remove_strays(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join("layers"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "json") && !path.with_extension("erofs").exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    pub fn images_dir(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Where a layer is, or will be.
    pub fn path(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(format!("{}.erofs", diff_id.hex()))
    }

    pub fn has(&self, diff_id: &Digest) -> bool {
        self.path(diff_id).is_file()
    }

    pub fn pin(self: &Arc<Self>, diff_id: &Digest) -> Pin {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let pinned = pins.entry(diff_id.clone()).or_insert_with(|| Pinned { users: 0, turn: Arc::default() });
        pinned.users += 1;
        Pin { store: Arc::clone(self), diff_id: diff_id.clone(), turn: Arc::clone(&pinned.turn) }
    }

    /// A file of no name that matters, removed when dropped.
    pub fn temporary(&self) -> Result<NamedTempFile, ImageError> {
        NamedTempFile::new_in(self.root.join("tmp")).map_err(ImageError::io("a temporary file cannot be made"))
    }

    /// Makes a complete and checked layer visible.
    pub fn commit(&self, file: NamedTempFile, diff_id: &Digest) -> Result<(), ImageError> {
        let failed = || ImageError::io("the layer cannot be stored");
        file.as_file().sync_all().map_err(failed())?;
        let sha256 = sha256_of(file.path()).map_err(failed())?;
        self.note(diff_id, Some(&sha256), &BTreeSet::new())?;
        file.persist(self.path(diff_id)).map_err(|error| failed()(error.error))?;
        sync_dir(&self.root.join("layers")).map_err(failed())
    }

    /// Where the layer's content was seen; empty when that is not known.
    pub fn sources(&self, diff_id: &Digest) -> BTreeSet<Source> {
        read_own(&self.sources_path(diff_id)).map(Noted::sources).unwrap_or_default()
    }

    /// Records that `source` gave the layer's content, checked.
    pub fn add_source(&self, diff_id: &Digest, source: Source) -> Result<(), ImageError> {
        let mut sources = self.sources(diff_id);
        if !sources.insert(source) {
            return Ok(());
        }
        let sha256 = read_own(&self.sources_path(diff_id)).and_then(Noted::sha256);
        self.note(diff_id, sha256.as_deref(), &sources)
    }

    fn note(&self, diff_id: &Digest, sha256: Option<&str>, sources: &BTreeSet<Source>) -> Result<(), ImageError> {
        self.write_own(&self.sources_path(diff_id), &Noting { sha256, sources })
    }

    fn sources_path(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(format!("{}.json", diff_id.hex()))
    }

    /// Writes a file of ours, whole or not at all.
    pub fn write_own(&self, path: &Path, value: &impl Serialize) -> Result<(), ImageError> {
        let failed = || ImageError::io("the image store cannot be written");
        let mut file = self.temporary()?;
        let bytes = serde_json::to_vec(value).map_err(|error| failed()(error.into()))?;
        file.write_all(&bytes).map_err(failed())?;
        file.as_file().sync_all().map_err(failed())?;
        file.persist(path).map_err(|error| failed()(error.error))?;
        sync_dir(path.parent().expect("a file of the store is in a directory")).map_err(failed())
    }

    /// Bytes that all layers take on the disk.
    pub fn used_bytes(&self) -> Result<u64, ImageError> {
        Ok(self.list()?.iter().map(|layer| layer.bytes).sum())
    }

    /// All layers that are there.
    pub fn list(&self) -> Result<Vec<Stored>, ImageError> {
        let failed = || ImageError::io("the image store cannot be read");
        let mut layers = Vec::new();
        for entry in fs::read_dir(self.root.join("layers")).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name();
            let Some(hex) = name.to_str().and_then(|name| name.strip_suffix(".erofs")) else { continue };
            let Ok(diff_id) = format!("sha256:{hex}").parse() else { continue };
            // Another task may have removed it since.
            if let Ok(metadata) = entry.metadata() {
                layers.push(Stored { diff_id, bytes: metadata.blocks() * 512, age: age(&metadata) });
            }
        }
        Ok(layers)
    }

    /// Removes the layer unless somebody uses it; answers whether it was removed.
    pub fn remove(&self, diff_id: &Digest) -> Result<bool, ImageError> {
        // Held while removing, so that nobody finds the layer present and pins it in between.
        let pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if pins.contains_key(diff_id) {
            return Ok(false);
        }
        let failed = || ImageError::io("a layer cannot be removed");
        fs::remove_file(self.path(diff_id)).map_err(failed())?;
        match fs::remove_file(self.sources_path(diff_id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed()(error)),
            _ => Ok(true),
        }
    }
}

/// A layer of the store.
pub(crate) struct Stored {
    pub diff_id: Digest,
    /// On the disk.
    pub bytes: u64,
    /// Since it was written.
    pub age: Duration,
}

/// Time since a file was written or touched.
pub(crate) fn age(metadata: &fs::Metadata) -> Duration {
    let written = metadata.mtime().saturating_mul(1000);
    let millis = SystemClock.now().as_millis().saturating_sub(written);
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Reads a file of ours; `None` when it is absent or not whole.
pub(crate) fn read_own<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    fs::metadata(path).ok().filter(|metadata| metadata.len() <= MAX_OWN_FILE)?;
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Of a whole file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let (mut file, mut digest, mut chunk) = (File::open(path)?, Sha256::new(), vec![0; 1 << 17]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&chunk[..read]),
        }
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
