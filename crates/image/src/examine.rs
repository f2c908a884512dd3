//! Looking at the layer store without using it: what is damaged on the disk.

use std::{fs, path::Path};

use crate::{
    error::ImageError,
    records,
    store::{Noted, read_own, sha256_of},
};

/// What was looked at, and what of it is damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayersExamined {
    /// Layers that are as they were written.
    pub whole: u64,
    /// Layers of before their digests were noted.
    pub unknown: u64,
    /// Files that are not as they were written. Without one of them the next launch fetches it again.
    pub damaged: Vec<String>,
}

/// Reads every layer and record under `root`, beside a server that may use them.
///
/// # Errors
/// When the directory cannot be read.
pub fn examine_layers(root: &Path) -> Result<LayersExamined, ImageError> {
    let failed = || ImageError::io("the image store cannot be read");
    let mut found = LayersExamined::default();
    for entry in fs::read_dir(root.join("layers")).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.extension().is_none_or(|kind| kind != "erofs") {
            continue;
        }
        let noted: Option<Noted> = read_own(&path.with_extension("json"));
        let noted = noted.and_then(Noted::sha256);
        // A server may have removed it since.
        let Ok(is) = sha256_of(&path) else { continue };
        match noted {
            None => found.unknown += 1,
            Some(noted) if noted == is => found.whole += 1,
            Some(_) => found.damaged.push(path.display().to_string()),
        }
    }
    for entry in fs::read_dir(root.join("images")).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.exists() && !records::is_one(&path) {
            found.damaged.push(path.display().to_string());
        }
    }
    found.damaged.sort();
    Ok(found)
}
