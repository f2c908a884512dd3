//! Image references: `[host[:port]/]path[:tag][@sha256:…]`, as Docker writes them.
//!
//! What must stay true: the first part is a registry only when it holds a dot, a colon or is `localhost`; without one
//! the image is Docker Hub's. A reference never changes its registry afterwards (no fall-through to Docker Hub).

use std::{fmt, str::FromStr};

use crate::{
    host::{BadHost, RegistryHost},
    image::Digest,
};

/// Which image is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    written: String,
    registry: RegistryHost,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image reference. The message completes "the image …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// Longer than the bound, in bytes.
    #[error("has a part longer than {0} bytes")]
    TooLong(usize),
    /// The registry part.
    #[error("names a registry that {0}")]
    Registry(BadHost),
    /// The path.
    #[error("has a path that is not lower-case letters and digits, separated by '/', '.', '-', '_' or '__'")]
    Repository,
    /// The tag.
    #[error("has a tag that is not letters, digits, '_', '.' and '-' (beginning with none of '.' and '-')")]
    Tag,
    /// The digest.
    #[error("has a digest that is not sha256: and 64 lower-case hexadecimal digits")]
    Digest,
}

const MAX_REFERENCE: usize = 1024;
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;
const DEFAULT_TAG: &str = "latest";

impl Reference {
    /// The text as it was given.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The registry it is on.
    #[must_use]
    pub const fn registry(&self) -> &RegistryHost {
        &self.registry
    }

    /// The path within the registry, such as `library/alpine`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` when neither tag nor digest was written.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that pins it.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The text of the same reference, kept at the image of this digest. A tag that was not written is written out, so
    /// that it can be followed again.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> String {
        let name = self.without_digest();
        let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
        match &self.tag {
            Some(tag) if !has_tag => format!("{name}:{tag}@{digest}"),
            _ => format!("{name}@{digest}"),
        }
    }

    /// The same reference without its digest; `None` when no tag is left then.
    #[must_use]
    pub fn followed(&self) -> Option<Self> {
        self.tag.as_ref()?;
        Some(Self { written: self.without_digest().to_owned(), digest: None, ..self.clone() })
    }

    fn without_digest(&self) -> &str {
        self.written.split_once('@').map_or(&*self.written, |(name, _)| name)
    }

    /// What stands after `/manifests/`: the digest, or else the tag.
    pub(crate) fn wanted(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => DEFAULT_TAG,
        }
    }
}

impl FromStr for Reference {
    type Err = BadReference;
    fn from_str(text: &str) -> Result<Self, BadReference> {
        if text.is_empty() {
            return Err(BadReference::Empty);
        }
        if text.len() > MAX_REFERENCE {
            return Err(BadReference::TooLong(MAX_REFERENCE));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>().map_err(|_| BadReference::Digest)?)),
            None => (text, None),
        };
        let (registry, rest) = split_registry(name)?;
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let repository = if registry.as_str() == "docker.io" && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        check_repository(path, &repository)?;
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(check_tag(tag)?.to_owned()),
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (None, Some(_)) => None,
        };
        Ok(Self { written: text.to_owned(), registry, repository, tag, digest })
    }
}

fn split_registry(name: &str) -> Result<(RegistryHost, &str), BadReference> {
    if let Some((first, rest)) = name.split_once('/')
        && (first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost"))
    {
        return Ok((first.parse().map_err(BadReference::Registry)?, rest));
    }
    let hub = "docker.io".parse().map_err(BadReference::Registry)?;
    Ok((hub, name))
}

fn check_repository(path: &str, repository: &str) -> Result<(), BadReference> {
    if repository.len() > MAX_REPOSITORY {
        return Err(BadReference::TooLong(MAX_REPOSITORY));
    }
    if !path.is_empty() && is_path(repository) { Ok(()) } else { Err(BadReference::Repository) }
}

/// Whether the text may stand in an image's path.
pub(crate) fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

/// Lower-case alphanumeric runs, separated by one '.', one or two '_', or any number of '-'.
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    ends && text
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

fn check_tag(tag: &str) -> Result<&str, BadReference> {
    if tag.len() > MAX_TAG {
        return Err(BadReference::TooLong(MAX_TAG));
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let fits = tag.bytes().next().is_some_and(word) && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    if fits { Ok(tag) } else { Err(BadReference::Tag) }
}

/// In full: the registry, `library/` and the tag are always there.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(text: &str) -> Result<String, BadReference> {
        text.parse::<Reference>().map(|reference| reference.to_string())
    }

    #[test]
    fn reads_what_docker_reads() {
        assert_eq!(full("alpine").unwrap(), "docker.io/library/alpine:latest");
        assert_eq!(full("team/app:1.2").unwrap(), "docker.io/team/app:1.2");
        assert_eq!(full("index.docker.io/alpine").unwrap(), "docker.io/library/alpine:latest");
        assert_eq!(full("localhost/app").unwrap(), "localhost/app:latest");
        assert_eq!(full("Registry.Example.com:5000/a/b__c/d-_").unwrap_err(), BadReference::Repository);
        assert_eq!(full("Registry.Example.com:5000/a/b__c/d--e:T").unwrap(), "registry.example.com:5000/a/b__c/d--e:T");
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(full(&format!("ghcr.io/a/b@{digest}")).unwrap(), format!("ghcr.io/a/b@{digest}"));
        assert_eq!(full(&format!("ghcr.io/a/b:1@{digest}")).unwrap(), format!("ghcr.io/a/b:1@{digest}"));
        assert_eq!(full("[::1]:5000/app").unwrap(), "[::1]:5000/app:latest");
    }

    #[test]
    fn a_pinned_reference_can_be_followed_again() {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        for (text, tagged) in [
            ("alpine", "alpine:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("h.example:1/a:2", "h.example:1/a:2"),
        ] {
            let pinned = text.parse::<Reference>().unwrap().pinned(&digest);
            assert_eq!(pinned, format!("{tagged}@{digest}"));
            let pinned: Reference = pinned.parse().unwrap();
            assert_eq!((pinned.digest(), pinned.pinned(&digest)), (Some(&digest), format!("{tagged}@{digest}")));
            let followed = pinned.followed().unwrap();
            assert_eq!((followed.as_written(), followed.digest()), (tagged, None));
            assert_eq!(followed, tagged.parse().unwrap());
        }
        assert_eq!(format!("a/b@{digest}").parse::<Reference>().unwrap().followed(), None);
    }

    #[test]
    fn refuses_the_rest_by_name() {
        for (text, why) in [
            ("", BadReference::Empty),
            ("Alpine", BadReference::Repository),
            ("a//b", BadReference::Repository),
            ("../etc", BadReference::Registry(BadHost::Name)),
            ("a/../b", BadReference::Repository),
            ("a/b..c", BadReference::Repository),
            ("a%2fb", BadReference::Repository),
            ("a b", BadReference::Repository),
            ("a\n", BadReference::Repository),
            ("host.example/", BadReference::Repository),
            ("a:", BadReference::Tag),
            ("a:.b", BadReference::Tag),
            ("a:b/c", BadReference::Registry(BadHost::Port)),
            ("a@sha256:abc", BadReference::Digest),
            ("a@sha512:abc", BadReference::Digest),
            ("user@host.example/a", BadReference::Digest),
        ] {
            assert_eq!(full(text).unwrap_err(), why, "{text:?}");
        }
        assert_eq!(full(&"a".repeat(300)).unwrap_err(), BadReference::TooLong(255));
        assert_eq!(full(&format!("a:{}", "b".repeat(129))).unwrap_err(), BadReference::TooLong(128));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            host in proptest::option::of("[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,5}){1,2}(:[1-9][0-9]{0,3})?"),
            path in "[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,5}){0,3}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9._-]{0,20}"),
            digest in proptest::option::of("[0-9a-f]{64}"),
        ) {
            let first = path.split('/').next().unwrap();
            prop_assume!(host.is_some() || !path.contains('/') || !first.contains('.') && first != "localhost");
            let mut text = host.as_ref().map_or(String::new(), |host| format!("{host}/"));
            text.push_str(&path);
            if let Some(tag) = &tag { text.push_str(&format!(":{tag}")); }
            if let Some(digest) = &digest { text.push_str(&format!("@sha256:{digest}")); }
            let reference: Reference = text.parse().unwrap();
            let again: Reference = reference.to_string().parse().unwrap();
            prop_assert_eq!(reference.to_string(), again.to_string());
            prop_assert_eq!(reference.repository(), again.repository());
            prop_assert_eq!(reference.tag(), again.tag());
            prop_assert_eq!(reference.digest(), again.digest());
            let registry = host.map_or("docker.io".to_owned(), |host| host);
            prop_assert_eq!(reference.registry().as_str(), registry);
        }

        #[test]
        fn no_text_panics_and_no_repository_leaves_its_alphabet(text in "\\PC{0,60}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert!(reference.repository().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/._-".contains(&b)));
                prop_assert!(!reference.repository().contains(".."));
            }
        }
    }
}
