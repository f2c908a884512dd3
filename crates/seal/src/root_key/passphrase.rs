//! Passphrases, made into keys by Argon2id (RFC 9106).

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::{Lock, LockKind, LockingKey, RootKeyError};
use crate::envelope::Key;

/// Characters at least.
const SHORTEST: usize = 12;
/// Bytes at most.
const LONGEST: usize = 1024;

/// What a guess costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassphraseCost {
    /// Memory, in KiB: at most 1 GiB.
    memory: u32,
    /// Passes: at most 16.
    passes: u32,
    /// Lanes: at most 16.
    lanes: u32,
}

impl PassphraseCost {
    /// RFC 9106, section 4, second choice: 64 MiB, 3 passes, 4 lanes.
    pub const RECOMMENDED: Self = Self { memory: 1 << 16, passes: 3, lanes: 4 };

    /// As `Display` writes it, when it is within bounds: a file must not be able to take the machine's memory.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(|word| word.parse::<u32>().ok());
        let (memory, passes, lanes) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let fits = (8 * lanes..=1 << 20).contains(&memory) && (1..=16).contains(&passes) && (1..=16).contains(&lanes);
        (numbers.next().is_none() && fits).then_some(Self { memory, passes, lanes })
    }
}

impl fmt::Display for PassphraseCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.memory, self.passes, self.lanes)
    }
}

/// A passphrase. Wiped on drop, never printed.
pub struct Passphrase {
    cost: PassphraseCost,
    text: Zeroizing<String>,
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase([redacted])")
    }
}

impl Passphrase {
    /// For a new file.
    ///
    /// # Errors
    /// When it is shorter than 12 characters or longer than 1024 bytes.
    pub fn new(text: Zeroizing<String>) -> Result<Self, RootKeyError> {
        let why = |why: String| Err(RootKeyError::Passphrase { why });
        if text.chars().count() < SHORTEST {
            return why(format!("is shorter than {SHORTEST} characters"));
        }
        if text.len() > LONGEST {
            return why(format!("is longer than {LONGEST} bytes"));
        }
        Ok(Self { cost: PassphraseCost::RECOMMENDED, text })
    }

    /// For a file that says what a guess costs.
    #[must_use]
    pub const fn at_cost(text: Zeroizing<String>, cost: PassphraseCost) -> Self {
        Self { cost, text }
    }
}

impl Lock for Passphrase {
    fn kind(&self) -> LockKind {
        LockKind::Passphrase(self.cost)
    }

    fn locking_key(&self, salt: &[u8; 32]) -> Result<LockingKey, RootKeyError> {
        let PassphraseCost { memory, passes, lanes } = self.cost;
        let no_good = |error: argon2::Error| RootKeyError::Passphrase { why: format!("makes no key: {error}") };
        let params = Params::new(memory, passes, lanes, Some(32)).map_err(no_good)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.text.as_bytes(), salt, key.as_mut_slice())
            .map_err(no_good)?;
        Ok(LockingKey(Key::from_bytes(*key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9106's own vector has a secret and associated data, which are not used here; this one is of the reference
    /// implementation's `argon2` program: `echo -n "correct horse battery" | argon2 <salt> -id -t 3 -k 65536 -p 4 -l 32 -r`.
    #[test]
    fn a_passphrase_makes_the_key_that_others_make_of_it() {
        let words = Zeroizing::new("correct horse battery".to_owned());
        let key = Passphrase::new(words).unwrap().locking_key(b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(hex::encode(key.0.bytes()), "f0dccba881248aaabdc4a3d6465531843ac8fa0bdf6974b385b3c364fc12bbbd");
    }

    #[test]
    fn costs_are_bounded() {
        assert_eq!(PassphraseCost::parse("65536 3 4"), Some(PassphraseCost::RECOMMENDED));
        for text in [
            "",
            "65536 3",
            "65536 3 4 1",
            "4294967295 3 4",
            "65536 0 4",
            "65536 17 4",
            "65536 3 0",
            "65536 3 17",
            "8 1 4",
            "x 3 4",
        ] {
            assert_eq!(PassphraseCost::parse(text), None, "{text}");
        }
        for text in ["eleven char", ""] {
            assert!(Passphrase::new(Zeroizing::new(text.to_owned())).is_err());
        }
        assert!(Passphrase::new(Zeroizing::new("x".repeat(1025))).is_err());
    }
}
