//! Bearer tokens: random, shown once, kept as a fingerprint.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::envelope;

/// A new token: 256 random bits in hexadecimal.
#[must_use]
pub fn random_token() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    envelope::fill(bytes.as_mut_slice());
    Zeroizing::new(hex::encode(bytes.as_slice()))
}

/// What is kept of a token: its SHA-256. Something so long and random needs no slow hash, and looking it up by this
/// tells nothing of the token by the time that it takes.
#[must_use]
pub fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, other) = (random_token(), random_token());
        assert_eq!((one.len(), other.len()), (64, 64));
        assert_ne!(one, other);
        assert_ne!(fingerprint(&one), fingerprint(&other));
    }
}
