//! Sealing what is too large for memory, such as a backup: the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár,
//! 2015) over XChaCha20-Poly1305, in chunks of 64 KiB.
//!
//! Format, version 1: `meshkeep stream 1\n`, the length of the wrapped key (32 bits, big-endian), the key wrapped by the root
//! key, a nonce prefix of 19 bytes, then the chunks, each with its tag. A chunk's number and whether it is the last one are
//! part of its nonce, so that none can be left out, moved or cut off.

use std::io::{self, Read, Write};

use aead_stream::{DecryptorBE32, EncryptorBE32, Nonce, StreamBE32};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::{
    Context, KeyId, Keyring, OpenError, Sealed,
    envelope::{self, Key},
};

const HEAD: &[u8] = b"meshkeep stream 1\n";
const CHUNK: usize = 1 << 16;
const TAG: usize = 16;
/// Bytes of a wrapped key at most; it has 89.
const MOST_WRAPPED: usize = 1024;

type Prefix = Nonce<XChaCha20Poly1305, StreamBE32<XChaCha20Poly1305>>;

/// Why a stream does not open.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It does not begin like one.
    #[error("is not a sealed stream that this version knows")]
    Format,
    /// Its key does not open.
    #[error("{0}")]
    Key(OpenError),
    /// It could not be read.
    #[error("could not be read: {0}")]
    Io(io::Error),
}

/// Seals what is written to it. Without [`StreamWriter::finish`] what it wrote does not open as a whole.
pub struct StreamWriter<W> {
    to: W,
    seal: EncryptorBE32<XChaCha20Poly1305>,
    chunk: Zeroizing<Vec<u8>>,
}

impl<W: Write> StreamWriter<W> {
    /// Begins a stream that opens under the root key that seals.
    ///
    /// # Errors
    /// When the head cannot be written.
    pub fn new(keyring: &Keyring, context: &Context, mut to: W) -> io::Result<Self> {
        let key = Key::random();
        let wrapped = keyring.seal(context, key.bytes());
        let mut prefix = [0; 19];
        envelope::fill(&mut prefix);
        to.write_all(HEAD)?;
        let length = u32::try_from(wrapped.as_bytes().len()).expect("a wrapped key has a fixed, small size");
        to.write_all(&length.to_be_bytes())?;
        to.write_all(wrapped.as_bytes())?;
        to.write_all(&prefix)?;
        let seal = EncryptorBE32::from_aead(XChaCha20Poly1305::new(key.bytes().into()), &Prefix::from(prefix));
        // Never grows: what moves leaves copies behind.
        Ok(Self { to, seal, chunk: Zeroizing::new(Vec::with_capacity(CHUNK)) })
    }

    /// Writes the last chunk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        let sealed = self.seal.encrypt_last(self.chunk.as_slice()).map_err(|_| too_long())?;
        self.to.write_all(&sealed)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for StreamWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is kept until more comes: only then it is not the last one.
        if self.chunk.len() == CHUNK {
            let sealed = self.seal.encrypt_next(self.chunk.as_slice()).map_err(|_| too_long())?;
            self.to.write_all(&sealed)?;
            self.chunk.clear();
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Opens what [`StreamWriter`] sealed. A reader that ends has read all of it, unchanged.
pub struct StreamReader<R> {
    from: R,
    /// None after the last chunk.
    open: Option<DecryptorBE32<XChaCha20Poly1305>>,
    /// Sealed, read ahead: whether more follows tells whether a chunk is the last.
    next: Vec<u8>,
    plain: Zeroizing<Vec<u8>>,
    place: usize,
}

impl<R: Read> StreamReader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn new(keyring: &Keyring, context: &Context, mut from: R) -> Result<Self, StreamError> {
        let wrapped = wrapped_key(&mut from)?;
        let plain = keyring.open(context, &wrapped).map_err(StreamError::Key)?;
        let key = <[u8; 32]>::try_from(plain.as_slice()).map_err(|_| StreamError::Format)?;
        let key = Key::from_bytes(*Zeroizing::new(key));
        let mut prefix = [0; 19];
        exact(&mut from, &mut prefix)?;
        let open = DecryptorBE32::from_aead(XChaCha20Poly1305::new(key.bytes().into()), &Prefix::from(prefix));
        let next = sealed_chunk(&mut from).map_err(StreamError::Io)?;
        Ok(Self { from, open: Some(open), next, plain: Zeroizing::default(), place: 0 })
    }

    fn fill(&mut self) -> io::Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let chunk = std::mem::take(&mut self.next);
        if chunk.len() == CHUNK + TAG {
            self.next = sealed_chunk(&mut self.from)?;
        }
        self.place = 0;
        self.plain = Zeroizing::new(if self.next.is_empty() {
            open.decrypt_last(chunk.as_slice()).map_err(|_| changed())?
        } else {
            let plain = open.decrypt_next(chunk.as_slice()).map_err(|_| changed())?;
            self.open = Some(open);
            plain
        });
        Ok(())
    }
}

impl<R: Read> Read for StreamReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.place == self.plain.len() && self.open.is_some() {
            self.fill()?;
        }
        let given = into.len().min(self.plain.len() - self.place);
        into[..given].copy_from_slice(&self.plain[self.place..self.place + given]);
        self.place += given;
        Ok(given)
    }
}

/// Which root key opens a stream.
///
/// # Errors
/// When it is none, or cannot be read.
pub fn stream_key_id(mut from: impl Read) -> Result<KeyId, StreamError> {
    wrapped_key(&mut from)?.key_id().ok_or(StreamError::Format)
}

fn wrapped_key(from: &mut impl Read) -> Result<Sealed, StreamError> {
    let mut head = [0; HEAD.len()];
    exact(from, &mut head)?;
    let mut length = [0; 4];
    exact(from, &mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| StreamError::Format)?;
    if head != *HEAD || length > MOST_WRAPPED {
        return Err(StreamError::Format);
    }
    let mut wrapped = vec![0; length];
    exact(from, &mut wrapped)?;
    Ok(Sealed::from_bytes(wrapped))
}

fn exact(from: &mut impl Read, into: &mut [u8]) -> Result<(), StreamError> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StreamError::Format,
        _ => StreamError::Io(error),
    })
}

/// A whole sealed chunk, or what is left.
fn sealed_chunk(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK + TAG);
    from.take((CHUNK + TAG) as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it was changed or cut short since it was sealed")
}

fn too_long() -> io::Error {
    io::Error::other("it is longer than 2^32 chunks of 64 KiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RootKey;

    fn sealed(ring: &Keyring, plain: &[u8]) -> Vec<u8> {
        let mut writer = StreamWriter::new(ring, &Context::new("test"), Vec::new()).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn opened(ring: &Keyring, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let reader = StreamReader::new(ring, &Context::new("test"), bytes).map_err(|error| error.to_string());
        let mut plain = Vec::new();
        reader?.read_to_end(&mut plain).map_err(|error| error.to_string())?;
        Ok(plain)
    }

    /// Pins the format. Computed with libsodium.
    #[test]
    fn a_golden_stream_opens() {
        let golden = "6d6573686b6565702073747265616d20310a000000590109090909090909090909090909090909050505050505\
                      050505050505050505050505050505050505f9b27de5157fc127d376ae1bef93b0c025ed517dec50357eae448e\
                      a84688ae6f951657674a52064165565a67cee1c9fa020202020202020202020202020202020202026b3000a726\
                      65ff700ca57755342505a6ad38a5da3bf301";
        let ring = Keyring::new(RootKey::from_parts(KeyId::from_bytes([9; 16]), Key::from_bytes([7; 32])));
        let bytes = hex::decode(golden).unwrap();
        let mut plain = Vec::new();
        let mut reader = StreamReader::new(&ring, &Context::new("golden-stream"), bytes.as_slice()).unwrap();
        reader.read_to_end(&mut plain).unwrap();
        assert_eq!(plain, b"the end");
    }

    #[test]
    fn what_is_sealed_opens_at_every_length_about_a_chunk() {
        let ring = Keyring::new(RootKey::generate());
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let bytes = sealed(&ring, &plain);
            assert_eq!(opened(&ring, &bytes).unwrap(), plain, "{length}");
            assert_eq!(stream_key_id(bytes.as_slice()).unwrap(), ring.root_id());
            if length > 64 {
                assert!(!bytes.windows(32).any(|window| window == &plain[..32]), "{length}");
            }
        }
    }

    #[test]
    fn a_stream_that_is_cut_changed_or_reordered_does_not_open() {
        let ring = Keyring::new(RootKey::generate());
        let bytes = sealed(&ring, &[7; 3 * CHUNK]);
        let chunk = CHUNK + TAG;
        let first = bytes.len() - 3 * chunk;
        for length in [0, 10, first - 1, first, first + 100, first + chunk, first + 2 * chunk, bytes.len() - 1] {
            assert!(opened(&ring, &bytes[..length]).is_err(), "cut at {length}");
        }
        for at in (0..first).chain([first, first + chunk, bytes.len() - 1]) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(opened(&ring, &changed).is_err(), "byte {at}");
        }
        let mut swapped = bytes.clone();
        let (one, two) = swapped[first..].split_at_mut(chunk);
        one.swap_with_slice(&mut two[..chunk]);
        assert!(opened(&ring, &swapped).is_err());
        let mut longer = bytes.clone();
        longer.extend_from_slice(&bytes[first..]);
        assert!(opened(&ring, &longer).is_err());
        let other = Keyring::new(RootKey::generate());
        assert!(opened(&other, &bytes).unwrap_err().contains(&ring.root_id().to_string()));
    }
}
