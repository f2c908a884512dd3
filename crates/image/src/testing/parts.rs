//! Small images made in memory.

use std::io::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::image::{Digest, LayerProgress, Progress};

/// A progress nobody looks at.
#[derive(Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn layer(&self, _progress: LayerProgress) {}
}

/// The documents and blobs of one image.
#[derive(Clone, Debug)]
pub struct ImageParts {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The config's bytes.
    pub config: Vec<u8>,
    /// The layers' blobs, as they are fetched.
    pub blobs: Vec<Vec<u8>>,
}

impl ImageParts {
    /// The media type that the manifest is served with.
    pub const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

    /// An image of gzipped `layers` (tars). `overrides` replaces members of its config, such as `architecture` or
    /// `config`.
    #[must_use]
    pub fn new(layers: &[Vec<u8>], overrides: &Value) -> Self {
        let blobs: Vec<Vec<u8>> = layers.iter().map(|tar| gzip(tar)).collect();
        Self::of_blobs(layers, blobs, "application/vnd.oci.image.layer.v1.tar+gzip", overrides)
    }

    /// The same with blobs that the caller compressed.
    #[must_use]
    pub fn of_blobs(layers: &[Vec<u8>], blobs: Vec<Vec<u8>>, media_type: &str, overrides: &Value) -> Self {
        let diff_ids: Vec<Digest> = layers.iter().map(|tar| digest(tar)).collect();
        let mut config = json!({
            "os": "linux", "architecture": crate::manifest::architecture(), "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        for (name, value) in overrides.as_object().into_iter().flatten() {
            config[name.as_str()] = value.clone();
        }
        let config = config.to_string().into_bytes();
        let describe = |bytes: &[u8], media_type: &str| json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": Self::MEDIA_TYPE,
            "config": describe(&config, "application/vnd.oci.image.config.v1+json"),
            "layers": blobs.iter().map(|blob| describe(blob, media_type)).collect::<Vec<_>>(),
        });
        Self { manifest: manifest.to_string().into_bytes(), config, blobs }
    }

    /// The manifest's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(&self.manifest)
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// A gzip member of `bytes`.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// A tar of regular files, mode 0755, owner 0:0.
#[must_use]
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, content) in files {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, "0000755\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", content.len()));
        put(136, "00000000000\0");
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend_from_slice(&header);
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}
