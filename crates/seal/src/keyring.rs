//! Keys in memory and what they wrap.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    Context, OpenError, Sealed,
    envelope::{self, Key},
    root_key::RootKey,
};

/// Names a key. Random, not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        envelope::fill(&mut bytes);
        Self(bytes)
    }

    /// From its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A keyed digest (HMAC-SHA-256): nobody without the key can make one that fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mac(pub [u8; 32]);

/// Root keys in memory, and what they wrap directly: project keys and the server's own secrets. One of them seals; all of
/// them open, so that a change of root keys that was broken off leaves nothing unreadable.
#[derive(Debug)]
pub struct Keyring {
    current: RootKey,
    others: Vec<RootKey>,
}

/// A project's key. It wraps data keys and authenticates the project's list of secrets.
pub struct ProjectKey {
    id: KeyId,
    key: Key,
}

/// Authenticates and never encrypts. Wrapped by a root key and not made from it, it outlives changes of root keys.
pub struct MacKey(Key);

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey([redacted])")
    }
}

impl fmt::Debug for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProjectKey({})", self.id)
    }
}

impl Keyring {
    /// The ring with this root key.
    #[must_use]
    pub const fn new(root: RootKey) -> Self {
        Self { current: root, others: Vec::new() }
    }

    /// Opens what is sealed under this key too.
    pub fn add(&mut self, root: RootKey) {
        if self.current.id() != root.id() && self.others.iter().all(|other| other.id() != root.id()) {
            self.others.push(root);
        }
    }

    /// Seals under this key from now on; false when it is not in the ring.
    #[must_use]
    pub fn seal_under(&mut self, id: KeyId) -> bool {
        if let Some(place) = self.others.iter().position(|other| other.id() == id) {
            let old = std::mem::replace(&mut self.current, self.others.swap_remove(place));
            self.others.push(old);
        }
        self.current.id() == id
    }

    /// The id of the root key that seals.
    #[must_use]
    pub const fn root_id(&self) -> KeyId {
        self.current.id()
    }

    /// Makes a project key, wrapped for the store.
    #[must_use]
    pub fn new_project_key(&self, project: &Context) -> (ProjectKey, Sealed) {
        let key = ProjectKey { id: KeyId::random(), key: Key::random() };
        let mut plain = Zeroizing::new(key.id.as_bytes().to_vec());
        plain.extend_from_slice(key.key.bytes());
        let wrapped = self.seal(project, &plain);
        (key, wrapped)
    }

    /// Unwraps a project key.
    ///
    /// # Errors
    /// Another root key, damage, or another project's key in this place.
    pub fn project_key(&self, project: &Context, wrapped: &Sealed) -> Result<ProjectKey, OpenError> {
        let plain = self.open(project, wrapped)?;
        let (id, key) = plain.split_at_checked(16).ok_or(OpenError::Format)?;
        Ok(ProjectKey {
            id: KeyId::from_bytes(id.try_into().expect("16 bytes were split off")),
            key: Key::from_bytes(key.try_into().map_err(|_| OpenError::Format)?),
        })
    }

    /// Wraps a project key that this ring opens under the root key that seals.
    ///
    /// # Errors
    /// Another root key, damage, or another project's key in this place.
    pub fn rewrap(&self, context: &Context, wrapped: &Sealed) -> Result<Sealed, OpenError> {
        self.open(context, wrapped).map(|plain| self.seal(context, &plain))
    }

    /// Seals a thing of the server itself.
    #[must_use]
    pub fn seal(&self, context: &Context, plaintext: &[u8]) -> Sealed {
        envelope::seal(self.current.key(), self.current.id(), context, plaintext)
    }

    /// Opens a thing of the server itself.
    ///
    /// # Errors
    /// Another root key, damage, or another place.
    pub fn open(&self, context: &Context, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let needed = sealed.key_id();
        let root = self.others.iter().find(|other| Some(other.id()) == needed).unwrap_or(&self.current);
        envelope::open(root.key(), root.id(), context, sealed)
    }

    /// Makes a key that authenticates, wrapped for the store.
    #[must_use]
    pub fn new_mac_key(&self, context: &Context) -> (MacKey, Sealed) {
        let key = MacKey(Key::random());
        let wrapped = self.seal(context, key.0.bytes());
        (key, wrapped)
    }

    /// The key that authenticated `purpose` when root keys still did so themselves, wrapped for the store.
    #[must_use]
    pub fn former_mac_key(&self, purpose: &Context, context: &Context) -> (MacKey, Sealed) {
        let key = MacKey(derived(self.current.key(), purpose));
        let wrapped = self.seal(context, key.0.bytes());
        (key, wrapped)
    }

    /// Unwraps a key that authenticates.
    ///
    /// # Errors
    /// Another root key, damage, or another place.
    pub fn mac_key(&self, context: &Context, wrapped: &Sealed) -> Result<MacKey, OpenError> {
        let plain = self.open(context, wrapped)?;
        let bytes = Zeroizing::new(<[u8; 32]>::try_from(plain.as_slice()).map_err(|_| OpenError::Format)?);
        Ok(MacKey(Key::from_bytes(*bytes)))
    }
}

impl MacKey {
    /// A keyed digest over `parts`.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> Mac {
        digest(&self.0, parts)
    }
}

impl ProjectKey {
    /// Seals `plaintext` under a fresh data key, which is wrapped beside it.
    #[must_use]
    pub fn seal(&self, context: &Context, plaintext: &[u8]) -> Sealed {
        let data = Key::random();
        let data_id = KeyId::random();
        let mut wrapped_key = Zeroizing::new(data_id.as_bytes().to_vec());
        wrapped_key.extend_from_slice(data.bytes());
        let wrapped = envelope::seal(&self.key, self.id, context, &wrapped_key);
        let body = envelope::seal(&data, data_id, context, plaintext);
        let mut both = Vec::with_capacity(4 + wrapped.as_bytes().len() + body.as_bytes().len());
        let length = u32::try_from(wrapped.as_bytes().len()).expect("a wrapped key has a fixed, small size");
        both.extend_from_slice(&length.to_be_bytes());
        both.extend_from_slice(wrapped.as_bytes());
        both.extend_from_slice(body.as_bytes());
        Sealed::from_bytes(both)
    }

    /// Opens what [`ProjectKey::seal`] sealed.
    ///
    /// # Errors
    /// Another project's key, damage, or another place.
    pub fn open(&self, context: &Context, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (length, rest) = sealed.as_bytes().split_at_checked(4).ok_or(OpenError::Format)?;
        let length = u32::from_be_bytes(length.try_into().expect("4 bytes were split off"));
        let (wrapped, body) =
            usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n)).ok_or(OpenError::Format)?;
        let plain = envelope::open(&self.key, self.id, context, &Sealed::from_bytes(wrapped.to_vec()))?;
        let (data_id, data) = plain.split_at_checked(16).ok_or(OpenError::Format)?;
        let data_id = KeyId::from_bytes(data_id.try_into().expect("16 bytes were split off"));
        let data = Key::from_bytes(data.try_into().map_err(|_| OpenError::Format)?);
        envelope::open(&data, data_id, context, &Sealed::from_bytes(body.to_vec()))
    }

    /// A keyed digest over `parts`, for the list of the project's secrets.
    #[must_use]
    pub fn mac(&self, context: &Context, parts: &[&[u8]]) -> Mac {
        digest(&derived(&self.key, context), parts)
    }
}

impl Mac {
    /// Compares in constant time.
    #[must_use]
    pub fn fits(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

/// Keys that encrypt never authenticate directly: the digest's key is derived, with its purpose, by HMAC.
fn derived(key: &Key, context: &Context) -> Key {
    let mut derive = hmac(key);
    derive.update(b"meshkeep mac");
    derive.update(context.bytes());
    Key::from_bytes(*Zeroizing::new(<[u8; 32]>::from(derive.finalize().into_bytes())))
}

fn digest(key: &Key, parts: &[&[u8]]) -> Mac {
    let mut mac = hmac(key);
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Mac(mac.finalize().into_bytes().into())
}

fn hmac(key: &Key) -> Hmac<Sha256> {
    Hmac::new_from_slice(key.bytes()).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring() -> Keyring {
        Keyring::new(RootKey::generate())
    }

    #[test]
    fn opens_only_with_its_key_and_in_its_place() {
        let (ring, other) = (ring(), ring());
        let place = Context::new("project").part("p1");
        let (key, wrapped) = ring.new_project_key(&place);
        let again = ring.project_key(&place, &wrapped).unwrap();
        assert!(matches!(other.project_key(&place, &wrapped), Err(OpenError::OtherKey { .. })));
        assert!(matches!(ring.project_key(&Context::new("project").part("p2"), &wrapped), Err(OpenError::Damaged)));
        let secret = Context::new("secret").part("a").part("1");
        let sealed = key.seal(&secret, b"value");
        assert_eq!(again.open(&secret, &sealed).unwrap().as_slice(), b"value");
        let elsewhere = Context::new("secret").part("a1").part("");
        assert_eq!(again.open(&elsewhere, &sealed), Err(OpenError::Damaged));
    }

    #[test]
    fn keys_do_not_print() {
        let ring = ring();
        let (key, _) = ring.new_project_key(&Context::new("p"));
        for text in [format!("{ring:?}"), format!("{key:?}")] {
            assert!(!text.contains(&hex::encode(key.key.bytes())), "{text}");
            assert!(!text.contains(&hex::encode(ring.current.key().bytes())), "{text}");
        }
    }

    /// Pins what a project key seals: a wrapped data key and what that one seals. Computed with libsodium.
    #[test]
    fn a_golden_version_opens() {
        let golden = "000000690109090909090909090909090909090909050505050505050505050505050505050505050505050505\
                      f5be71e91973cd2bdf7aa217e39fbccc2ee65a76e75b3e75a54f85a34d83a5645a10f41e1787d5c8368fffad4f\
                      f4cc87399793ea00e932c9c1a7f6fa604f88920104040404040404040404040404040404060606060606060606\
                      06060606060606060606060606060627760febe317bf421f3b11ad44a07e548406377a73f000c2";
        let key = ProjectKey { id: KeyId::from_bytes([9; 16]), key: Key::from_bytes([7; 32]) };
        let sealed = Sealed::from_bytes(hex::decode(golden).unwrap());
        assert_eq!(key.open(&Context::new("golden").part("place"), &sealed).unwrap().as_slice(), b"a value\n");
    }

    #[test]
    fn two_root_keys_open_and_one_seals() {
        let (old, new) = (RootKey::generate(), RootKey::generate());
        let (old_id, new_id) = (old.id(), new.id());
        let place = Context::new("project").part("p1");
        let mut ring = Keyring::new(old);
        let (key, wrapped) = ring.new_project_key(&place);
        let secret = key.seal(&place, b"value");
        ring.add(new);
        assert_eq!(ring.root_id(), old_id, "a key that is added does not seal yet");
        assert!(!ring.seal_under(KeyId::random()));
        assert!(ring.seal_under(new_id) && ring.root_id() == new_id);
        let rewrapped = ring.rewrap(&place, &wrapped).unwrap();
        assert_eq!((wrapped.key_id(), rewrapped.key_id()), (Some(old_id), Some(new_id)));
        for wrapped in [&wrapped, &rewrapped] {
            let key = ring.project_key(&place, wrapped).unwrap();
            assert_eq!(key.open(&place, &secret).unwrap().as_slice(), b"value");
        }
        assert_eq!(ring.rewrap(&Context::new("project").part("p2"), &wrapped), Err(OpenError::Damaged));
    }

    #[test]
    fn a_mac_key_outlives_the_root_key_it_came_from() {
        let mut ring = ring();
        let (purpose, place) = (Context::new("audit"), Context::new("server-audit-key"));
        let (former, wrapped) = ring.former_mac_key(&purpose, &place);
        let parts: [&[u8]; 2] = [b"a", b"bc"];
        let before = former.mac(&parts);
        let next = RootKey::generate();
        let id = next.id();
        ring.add(next);
        assert!(ring.seal_under(id));
        let wrapped = ring.rewrap(&place, &wrapped).unwrap();
        assert_eq!(ring.mac_key(&place, &wrapped).unwrap().mac(&parts), before);
        assert_ne!(former.mac(&[b"ab", b"c"]), before);
        assert_ne!(ring.new_mac_key(&place).0.mac(&parts), before);
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_found(plain in proptest::collection::vec(any::<u8>(), 0..64), bit: proptest::sample::Index) {
            let (key, _) = ring().new_project_key(&Context::new("p"));
            let place = Context::new("x");
            let sealed = key.seal(&place, &plain);
            let opened = key.open(&place, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
            let mut bytes = sealed.as_bytes().to_vec();
            let at = bit.index(bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            prop_assert!(key.open(&place, &Sealed::from_bytes(bytes)).is_err());
        }

        #[test]
        fn truncation_is_an_error_and_no_panic(length in 0_usize..200) {
            let (key, _) = ring().new_project_key(&Context::new("p"));
            let place = Context::new("x");
            let mut bytes = key.seal(&place, b"some plaintext").as_bytes().to_vec();
            if length < bytes.len() {
                bytes.truncate(length);
                prop_assert!(key.open(&place, &Sealed::from_bytes(bytes)).is_err());
            }
        }
    }
}
