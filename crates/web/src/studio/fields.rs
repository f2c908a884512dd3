//! What a browser sends of a form: names and values in order, a name as often as it has fields.

use zeroize::Zeroizing;

/// The fields of one form. Values may be secret; they are wiped.
pub(crate) struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    /// From `application/x-www-form-urlencoded` bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self::of(form_urlencoded::parse(bytes).map(|(name, value)| (name.into_owned(), value.into_owned())))
    }

    /// From pairs.
    pub(crate) fn of<N: Into<String>>(pairs: impl IntoIterator<Item = (N, String)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), Zeroizing::new(value))).collect())
    }

    /// The first field of this name.
    pub(crate) fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All fields of this name, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
