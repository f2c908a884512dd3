//! Stands in for the layer writer until it is there: the tar itself, uncompressed.

use std::{fs::File, io, io::Read, io::Write as _};

use sha2::{Digest as _, Sha256};

use crate::image::Digest;

/// How a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Plain tar.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// Bounds of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the uncompressed tar.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 << 30 }
    }
}

/// Why a layer was not converted.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Reading or writing.
    #[error("{what}: {source}")]
    Io {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Damaged.
    #[error("the layer cannot be decompressed: {0}")]
    Compression(String),
    /// A limit.
    #[error("the layer exceeds the limit of {limit} {what}")]
    Limit {
        /// What.
        what: &'static str,
        /// How much.
        limit: u64,
    },
}

/// What was written.
#[derive(Debug)]
pub struct Converted {
    /// SHA-256 of the tar.
    pub diff_id: Digest,
    /// Its bytes.
    pub uncompressed_bytes: u64,
    /// The image's bytes.
    pub image_bytes: u64,
    /// Its entries.
    pub entries: u64,
}

/// Converts.
pub fn convert(
    mut blob: impl Read,
    compression: Compression,
    out: &File,
    limits: &Limits,
) -> Result<Converted, LayerError> {
    let mut reader: Box<dyn Read + '_> = match compression {
        Compression::None => Box::new(&mut blob),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(&mut blob)),
        Compression::Zstd => {
            Box::new(zstd::Decoder::new(&mut blob).map_err(|source| LayerError::Io { what: "reading", source })?)
        }
    };
    let (mut out, mut hash, mut total) = (out, Sha256::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = reader.read(&mut buffer).map_err(|source| LayerError::Compression(source.to_string()))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        total += read as u64;
        if total > limits.max_bytes {
            return Err(LayerError::Limit { what: "bytes", limit: limits.max_bytes });
        }
        out.write_all(&buffer[..read]).map_err(|source| LayerError::Io { what: "writing", source })?;
    }
    drop(reader);
    let _ = io::copy(&mut blob, &mut io::sink());
    Ok(Converted {
        diff_id: Digest::from_bytes(hash.finalize().into()),
        uncompressed_bytes: total,
        image_bytes: total,
        entries: 0,
    })
}
