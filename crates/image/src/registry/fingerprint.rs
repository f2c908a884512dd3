//! Credentials told apart in memory without being kept there.

use meshkeep_core::secret::PullCredential;
use sha2::{Digest as _, Sha256};

/// A keyed hash of one credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

/// Makes them, with a key of this process.
#[derive(Clone)]
pub(super) struct Fingerprints {
    key: [u8; 32],
}

impl Fingerprints {
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { key })
    }

    pub fn of(&self, credential: &PullCredential) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update((credential.username.len() as u64).to_le_bytes());
        hash.update(credential.username.expose());
        hash.update(credential.password.expose());
        Fingerprint(hash.finalize().into())
    }
}
