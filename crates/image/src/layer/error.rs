//! Why a layer is refused.

/// Why a layer was not converted. Path names are the image author's text and are shown bounded and escaped.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Reading the blob or writing the image.
    #[error("{what}: {source}")]
    Io {
        /// Which of the two.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The compressed stream is damaged, truncated, or asks for too much memory.
    #[error("the layer cannot be decompressed: {0}")]
    Compression(String),
    /// The tar is not one.
    #[error("the layer's tar is malformed at byte {offset}: {why}")]
    Tar {
        /// Offset in the uncompressed tar.
        offset: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// An entry that is refused.
    #[error("the layer's entry {path:?} is refused: {why}")]
    Entry {
        /// The entry, bounded.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A limit.
    #[error("the layer exceeds the limit of {limit} {what}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
}

impl LayerError {
    pub(super) fn entry(path: &[u8], why: &'static str) -> Self {
        let shown = &path[..path.len().min(120)];
        Self::Entry { path: String::from_utf8_lossy(shown).into_owned(), why }
    }
}
