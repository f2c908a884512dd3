//! What a sealed thing is bound to.

/// A place: a purpose and the parts that name it, each length-prefixed so that no two places read the same.
///
/// The bytes are authenticated with the ciphertext and never stored; whoever opens must know the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context(Vec<u8>);

impl Context {
    /// Begins with a purpose, such as `secret-version`.
    #[must_use]
    pub fn new(purpose: &'static str) -> Self {
        Self(Vec::with_capacity(96)).part(b"meshkeep").part(purpose.as_bytes())
    }

    /// Adds a part: an id, a kind, a number.
    #[must_use]
    pub fn part(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
