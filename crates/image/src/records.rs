//! Image records: `images/<key>.json`, what a manifest digest resolved to in one repository of one registry.
//!
//! What must stay true: a record answers only for the registry and repository that its manifest came from. Another
//! registry that claims the same digest proves nothing: it must show the bytes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    error::ImageError,
    image::{Digest, Image, ImageConfig, Layer},
    layer,
    reference::Reference,
    store::{Store, age, read_own},
};

/// What a manifest resolved to on this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    /// The references that led here, in full.
    names: BTreeSet<String>,
    #[serde(flatten)]
    is: Resolution,
}

/// This platform's image of a manifest or list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Resolution {
    /// Digest of the platform's manifest.
    pub image: Digest,
    pub config: ImageConfig,
    /// Lowest first.
    pub layers: Vec<Digest>,
}

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Image records.
    pub images: usize,
    /// Layers.
    pub layers: usize,
    /// Bytes of the disk.
    pub bytes: u64,
}

/// Whether the file is a record.
pub(crate) fn is_one(path: &std::path::Path) -> bool {
    read_own::<Record>(path).is_some()
}

/// The records of a store.
pub(crate) struct Records {
    store: Arc<Store>,
    /// Held while records are read for use, written or collected: a collection knows all records there are, and what was
    /// just answered is young to it.
    turn: Mutex<()>,
}

impl Records {
    pub const fn new(store: Arc<Store>) -> Self {
        Self { store, turn: Mutex::new(()) }
    }

    fn path(&self, reference: &Reference, digest: &Digest) -> PathBuf {
        let place = format!("{}/{}@{digest}", reference.registry(), reference.repository());
        self.store.images_dir().join(format!("{}.json", hex::encode(Sha256::digest(place))))
    }

    /// The image that `digest` resolved to in this repository, when it was fetched before and all of it is still here.
    pub fn get(&self, reference: &Reference, digest: &Digest) -> Result<Option<Image>, ImageError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(reference, digest);
        let Some(record) = read_own::<Record>(&path) else { return Ok(None) };
        if !record.is.layers.iter().all(|diff_id| self.store.has(diff_id)) {
            return Ok(None);
        }
        let name = reference.to_string();
        if record.names.contains(&name) {
            touch(&path);
        } else {
            let mut named = record.clone();
            named.names.insert(name);
            self.store.write_own(&path, &named)?;
        }
        self.image(reference, &record).map(Some)
    }

    /// Records what `digest` resolves to.
    pub fn put(&self, reference: &Reference, digest: &Digest, is: Resolution) -> Result<Image, ImageError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Record { names: [reference.to_string()].into(), is };
        self.store.write_own(&self.path(reference, digest), &record)?;
        self.image(reference, &record)
    }

    fn image(&self, reference: &Reference, record: &Record) -> Result<Image, ImageError> {
        let placed = |diff_id: &Digest| Layer { diff_id: diff_id.clone(), path: self.store.path(diff_id) };
        let mut layers: Vec<Layer> = record.is.layers.iter().map(placed).collect();
        for at in (1..layers.len()).rev() {
            if layer::hides_all_below(&layers[at].path).map_err(ImageError::io("a layer cannot be read"))? {
                layers.drain(..at);
                break;
            }
        }
        Ok(Image {
            reference: reference.as_written().to_owned(),
            digest: record.is.image.clone(),
            config: record.is.config.clone(),
            layers,
        })
    }

    /// Removes records that nothing leads to any more, then the longest unused ones until the layers fit `budget`, then
    /// layers that no record names. Nothing younger than `grace` and nothing in `in_use` (digests of images or of
    /// layers) is removed.
    pub fn collect(
        &self,
        in_use: &HashSet<Digest>,
        budget: Option<u64>,
        grace: Duration,
    ) -> Result<Collected, ImageError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.load()?;
        let mut collected = Collected::default();
        let keep = |found: &Found| in_use.contains(&found.record.is.image) || found.age < grace;
        let superseded = superseded(&kept);
        for index in superseded.into_iter().rev() {
            if !keep(&kept[index]) {
                forget(&kept.remove(index))?;
                collected.images += 1;
            }
        }
        self.sweep(&kept, in_use, grace, &mut collected)?;
        let Some(budget) = budget else { return Ok(collected) };
        kept.sort_by_key(|found| std::cmp::Reverse(found.used));
        while self.store.used_bytes()? > budget {
            let Some(oldest) = kept.iter().rposition(|found| !keep(found)) else { break };
            forget(&kept.remove(oldest))?;
            collected.images += 1;
            self.sweep(&kept, in_use, grace, &mut collected)?;
        }
        Ok(collected)
    }

    fn sweep(
        &self,
        kept: &[Found],
        in_use: &HashSet<Digest>,
        grace: Duration,
        collected: &mut Collected,
    ) -> Result<(), ImageError> {
        let named: HashSet<&Digest> = kept.iter().flat_map(|found| &found.record.is.layers).collect();
        for layer in self.store.list()? {
            let wanted = named.contains(&layer.diff_id) || in_use.contains(&layer.diff_id) || layer.age < grace;
            if !wanted && self.store.remove(&layer.diff_id)? {
                collected.layers += 1;
                collected.bytes += layer.bytes;
            }
        }
        Ok(())
    }

    /// All records. One that cannot be read is as good as absent, and is removed.
    fn load(&self) -> Result<Vec<Found>, ImageError> {
        let failed = || ImageError::io("the image store cannot be read");
        let mut records = Vec::new();
        for entry in fs::read_dir(self.store.images_dir()).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            let Ok(metadata) = fs::metadata(&path) else { continue };
            match read_own::<Record>(&path) {
                Some(record) => records.push(Found {
                    path,
                    used: (metadata.mtime(), metadata.mtime_nsec()),
                    age: age(&metadata),
                    record,
                }),
                None => fs::remove_file(&path).map_err(failed())?,
            }
        }
        Ok(records)
    }
}

struct Found {
    path: PathBuf,
    /// When it was written or touched, in seconds and nanoseconds.
    used: (i64, i64),
    age: Duration,
    record: Record,
}

/// The places of records none of whose names leads to them any more: a newer record has it.
fn superseded(records: &[Found]) -> Vec<usize> {
    let mut newest: HashMap<&str, usize> = HashMap::new();
    for (index, found) in records.iter().enumerate() {
        for name in &found.record.names {
            let best = newest.entry(name).or_insert(index);
            if found.used > records[*best].used {
                *best = index;
            }
        }
    }
    let leads: HashSet<usize> = newest.into_values().collect();
    (0..records.len()).filter(|index| !leads.contains(index)).collect()
}

fn forget(found: &Found) -> Result<(), ImageError> {
    fs::remove_file(&found.path).map_err(ImageError::io("an image record cannot be removed"))
}

/// Marks a record as used now. When it fails, the record merely looks older than it is.
fn touch(path: &std::path::Path) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
    };
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::empty());
}
