//! The image's file: written forwards in large pieces, in whole blocks, holes left as holes.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::BLOCK;
use crate::layer::LayerError;

const BUFFER: usize = 512 << 10;
/// Shorter holes are written as zeros: a hole costs a system call.
const HOLE: u64 = 64 << 10;

/// Where the image grows.
pub(in crate::layer) struct Output<'f> {
    file: &'f File,
    buffer: Box<[u8]>,
    filled: usize,
    /// Where the buffer's first byte belongs.
    flushed: u64,
    max_bytes: u64,
}

impl<'f> Output<'f> {
    /// Begins behind the superblock's block.
    pub(in crate::layer) fn new(file: &'f File, max_bytes: u64) -> Self {
        Self { file, buffer: vec![0; BUFFER].into_boxed_slice(), filled: 0, flushed: BLOCK as u64, max_bytes }
    }

    /// Where the next byte goes.
    pub(super) const fn position(&self) -> u64 {
        self.flushed + self.filled as u64
    }

    /// The block that the next byte goes to; the position is at its start.
    pub(in crate::layer) fn block(&self) -> Result<u32, LayerError> {
        block_of(self.position())
    }

    /// Room for the next bytes, never empty; [`Output::advance`] says how much of it was filled.
    pub(in crate::layer) fn space(&mut self) -> Result<&mut [u8], LayerError> {
        if self.filled == self.buffer.len() {
            self.flush()?;
        }
        Ok(&mut self.buffer[self.filled..])
    }

    pub(in crate::layer) fn advance(&mut self, bytes: usize) {
        self.filled += bytes;
        debug_assert!(self.filled <= self.buffer.len(), "no more was filled than there was room");
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let part = bytes.len().min(space.len());
            space[..part].copy_from_slice(&bytes[..part]);
            self.advance(part);
            bytes = &bytes[part..];
        }
        Ok(())
    }

    /// Zeros, as a hole of the file where that is worth it.
    pub(in crate::layer) fn zeros(&mut self, mut bytes: u64) -> Result<(), LayerError> {
        let end = self.position().checked_add(bytes).filter(|end| *end <= self.max_bytes).ok_or(self.too_large())?;
        if bytes >= HOLE {
            self.flush()?;
            self.flushed = end;
            return Ok(());
        }
        while bytes > 0 {
            let space = self.space()?;
            let part = usize::try_from(bytes).map_or(space.len(), |bytes| bytes.min(space.len()));
            space[..part].fill(0);
            self.advance(part);
            bytes -= part as u64;
        }
        Ok(())
    }

    /// Zeros up to the next multiple of `unit`.
    pub(in crate::layer) fn align(&mut self, unit: usize) -> Result<(), LayerError> {
        match self.position() % unit as u64 {
            0 => Ok(()),
            over => self.zeros(unit as u64 - over),
        }
    }

    /// Writes what is left, gives the file its length, and puts `first` into block 0.
    pub(super) fn finish(mut self, first: &[u8; BLOCK]) -> Result<u64, LayerError> {
        self.align(BLOCK)?;
        self.flush()?;
        self.file.set_len(self.flushed).map_err(failed)?;
        self.file.write_all_at(first, 0).map_err(failed)?;
        Ok(self.flushed)
    }

    fn flush(&mut self) -> Result<(), LayerError> {
        if self.position() > self.max_bytes {
            return Err(self.too_large());
        }
        self.file.write_all_at(&self.buffer[..self.filled], self.flushed).map_err(failed)?;
        self.flushed += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    const fn too_large(&self) -> LayerError {
        LayerError::Limit { what: "bytes of the image", limit: self.max_bytes }
    }
}

/// The block that begins at `position`. An image has no more of them than 32 bits can count.
pub(super) fn block_of(position: u64) -> Result<u32, LayerError> {
    debug_assert_eq!(position % BLOCK as u64, 0, "data begins at a block's start");
    let largest = u64::from(u32::MAX) * BLOCK as u64;
    u32::try_from(position / BLOCK as u64).map_err(|_| LayerError::Limit { what: "bytes of the image", limit: largest })
}

const fn failed(source: io::Error) -> LayerError {
    LayerError::Io { what: "writing the layer's image", source }
}
