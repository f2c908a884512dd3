//! The uncompressed side of a layer: decompression, its SHA-256 (the diffID), its length and the bomb limits.

use std::{
    io::{self, BufReader, Read},
    ops::Range,
};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::{LayerError, Limits};
use crate::Digest;

/// How a layer blob is compressed, from its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Plain tar.
    None,
    /// gzip, also of several members.
    Gzip,
    /// Zstandard, also of several frames.
    Zstd,
}

const BUFFER: usize = 128 << 10;
const AHEAD: usize = 64 << 10;
/// Below this many bytes a high ratio is harmless: small layers of zeros and sparse files are common.
const RATIO_FREE: u64 = 64 << 20;

/// Counts what the decompressor has taken in.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

enum Decoder<R: Read> {
    None(BufReader<Counted<R>>),
    Gzip(Box<MultiGzDecoder<BufReader<Counted<R>>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Counted<R>>>>),
}

/// Reads the uncompressed tar, hashing every byte once, in large pieces: small reads are served from what is ahead.
pub(super) struct DiffReader<R: Read> {
    decoder: Decoder<R>,
    hash: Sha256,
    /// Bytes decompressed and hashed so far.
    bytes: u64,
    ahead: Box<[u8]>,
    /// What of `ahead` is still to be read.
    rest: Range<usize>,
    max_bytes: u64,
    max_ratio: u64,
}

impl<R: Read> DiffReader<R> {
    pub(super) fn new(blob: R, compression: Compression, limits: &Limits) -> Result<Self, LayerError> {
        let blob = BufReader::with_capacity(BUFFER, Counted { inner: blob, bytes: 0 });
        let decoder = match compression {
            Compression::None => Decoder::None(blob),
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(blob))),
            Compression::Zstd => {
                let refused = |error: io::Error| LayerError::Compression(error.to_string());
                let mut decoder = zstd::Decoder::with_buffer(blob).map_err(refused)?;
                decoder.window_log_max(limits.zstd_window_log).map_err(refused)?;
                Decoder::Zstd(Box::new(decoder))
            }
        };
        Ok(Self {
            decoder,
            hash: Sha256::new(),
            bytes: 0,
            ahead: vec![0; AHEAD].into_boxed_slice(),
            rest: 0..0,
            max_bytes: limits.max_bytes,
            max_ratio: limits.max_ratio,
        })
    }

    /// Bytes read so far: the offset in the uncompressed tar.
    pub(super) const fn offset(&self) -> u64 {
        self.bytes - (self.rest.end - self.rest.start) as u64
    }

    /// Reads some bytes; 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        if self.rest.is_empty() {
            if buffer.len() >= AHEAD {
                return self.decode(buffer);
            }
            let mut ahead = std::mem::take(&mut self.ahead);
            let decoded = self.decode(&mut ahead);
            self.ahead = ahead;
            self.rest = 0..decoded?;
        }
        let n = self.rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.ahead[self.rest.start..self.rest.start + n]);
        self.rest.start += n;
        Ok(n)
    }

    fn decode(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        let n = loop {
            let read = match &mut self.decoder {
                Decoder::None(reader) => reader.read(buffer),
                Decoder::Gzip(reader) => reader.read(buffer),
                Decoder::Zstd(reader) => reader.read(buffer),
            };
            match read {
                Ok(n) => break n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        };
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        self.check_limits()?;
        Ok(n)
    }

    /// Fills `buffer`; an end of the stream within it is malformed.
    pub(super) fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), LayerError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => return Err(self.malformed("it ends in the middle of an entry")),
                n => filled += n,
            }
        }
        Ok(())
    }

    /// Reads and drops `bytes` bytes.
    pub(super) fn skip(&mut self, mut bytes: u64, scratch: &mut [u8]) -> Result<(), LayerError> {
        while bytes > 0 {
            let part = usize::try_from(bytes).map_or(scratch.len(), |n| n.min(scratch.len()));
            self.read_exact(&mut scratch[..part])?;
            bytes -= part as u64;
        }
        Ok(())
    }

    /// Reads to the very end, so that both digests cover everything, and answers diffID and length.
    pub(super) fn finish(mut self) -> Result<(Digest, u64), LayerError> {
        let mut rest = std::mem::take(&mut self.ahead);
        while self.decode(&mut rest)? > 0 {}
        Ok((Digest::from_bytes(self.hash.finalize().into()), self.bytes))
    }

    pub(super) const fn malformed(&self, why: &'static str) -> LayerError {
        LayerError::Tar { offset: self.offset(), why }
    }

    fn check_limits(&self) -> Result<(), LayerError> {
        if self.bytes > self.max_bytes {
            return Err(LayerError::Limit { what: "uncompressed bytes", limit: self.max_bytes });
        }
        let taken = self.compressed().max(1);
        if self.bytes > RATIO_FREE && self.bytes / taken > self.max_ratio {
            return Err(LayerError::Limit { what: "uncompressed bytes per compressed byte", limit: self.max_ratio });
        }
        Ok(())
    }

    fn compressed(&self) -> u64 {
        match &self.decoder {
            Decoder::None(reader) => reader.get_ref().bytes,
            Decoder::Gzip(reader) => reader.get_ref().get_ref().bytes,
            Decoder::Zstd(reader) => reader.get_ref().get_ref().bytes,
        }
    }

    /// The blob's own errors (a lost connection) are told apart from damage by their kind.
    fn failed(&self, error: io::Error) -> LayerError {
        match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                LayerError::Compression(error.to_string())
            }
            io::ErrorKind::Other if error.get_ref().is_some() && matches!(self.decoder, Decoder::Zstd(_)) => {
                LayerError::Compression(error.to_string())
            }
            _ => LayerError::Io { what: "reading the layer", source: error },
        }
    }
}
