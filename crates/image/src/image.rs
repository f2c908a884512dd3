//! What a fetched image is.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

/// `sha256:` and 64 lower-case hexadecimal digits; nothing else is a digest here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The text was not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a digest (sha256: and 64 lower-case hexadecimal digits)")]
pub struct NotADigest;

impl Digest {
    /// The digest that is these 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(format!("sha256:{}", hex::encode(bytes)))
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits, fit for a file name.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl FromStr for Digest {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits = text.strip_prefix("sha256:").ok_or(NotADigest)?;
        if digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotADigest)
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image whose layers are all present and verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    /// The reference as the manifest wrote it.
    pub reference: String,
    /// Digest of the manifest that was resolved for this platform's image.
    pub digest: Digest,
    /// How its process is run.
    pub config: ImageConfig,
    /// The layers to put on one another, lowest first. What lies below an opaque root is left out.
    pub layers: Vec<Layer>,
}

/// A layer in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// SHA-256 of the uncompressed tar.
    pub diff_id: Digest,
    /// The EROFS image, complete and synced.
    pub path: PathBuf,
}

/// The parts of an OCI image config that say how its process is run. All of it is the image author's text: inert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `Env`, split at the first `=`; an entry without one or with a name that is no variable name is left out.
    pub env: Vec<(String, String)>,
    /// `User`: a name or number, with an optional group after a colon; empty for root.
    pub user: String,
    /// `WorkingDir`; `/` when empty.
    pub working_dir: String,
    /// `StopSignal`, such as `SIGTERM`, `TERM` or `15`; SIGTERM when empty.
    pub stop_signal: String,
}

/// How far one layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerProgress {
    /// Digest of the compressed blob.
    pub blob: Digest,
    /// Compressed bytes that have arrived.
    pub done: u64,
    /// Compressed bytes in all.
    pub total: u64,
}

/// Told about a fetch as it goes on. Called often, from any task; must not block.
pub trait Progress: Send + Sync {
    /// One layer moved, or is complete (`done == total`).
    fn layer(&self, progress: LayerProgress);
}
