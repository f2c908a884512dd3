//! What a pull secret's server opens: a registry, or the repositories below one path of it; and which of several pull secrets
//! an image is fetched with.
//!
//! What must stay true: a path opens whole parts of an image's name only (`acme` opens `acme/weather`, never
//! `acme-internal/weather`), and the choice depends on the image's name alone, never on what a registry answers.

use std::fmt;

use crate::{
    error::ImageError,
    host::{BadHost, RegistryHost},
    reference::{Reference, is_path},
};

/// A registry and the beginning of its images' paths; an empty one opens them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullScope {
    registry: RegistryHost,
    path: String,
}

impl PullScope {
    /// What a pull secret's `server` names: the scheme is stripped, and so is the version of an API, so that
    /// `https://index.docker.io/v1/` opens all of `docker.io`; `registry.example.com/acme` opens what is below `acme`.
    /// Images have no capitals, so those of a path mean none.
    ///
    /// # Errors
    /// What remains is neither `host[:port]` nor that and a path such as images have.
    pub fn of_server(server: &str) -> Result<Self, BadHost> {
        let (registry, rest) = RegistryHost::split_server(server)?;
        let path = rest.trim_matches('/').to_ascii_lowercase();
        let is_version = |part: &str| matches!(part, "v1" | "v2");
        let path = match path.split_once('/') {
            _ if is_version(&path) => "",
            Some((first, below)) if is_version(first) => below,
            _ => &path,
        };
        // Nothing that is shown may mean more when it is read again.
        if path.split('/').next().is_some_and(is_version) {
            return Err(BadHost::Path);
        }
        if path.is_empty() || is_path(path) { Ok(Self { registry, path: path.to_owned() }) } else { Err(BadHost::Path) }
    }

    /// Whether the image is on this registry and below this path.
    #[must_use]
    pub fn opens(&self, image: &Reference) -> bool {
        let below = |rest: &str| self.path.is_empty() || rest.is_empty() || rest.starts_with('/');
        self.registry == *image.registry() && image.repository().strip_prefix(self.path.as_str()).is_some_and(below)
    }

    /// The one of several that names the longest part of the image's path; the first of equal ones.
    fn longest<'a>(scopes: impl IntoIterator<Item = &'a Self>, image: &Reference) -> Option<usize> {
        let fitting = scopes.into_iter().enumerate().filter(|(_, scope)| scope.opens(image));
        // Of equal ones the last is the greatest, and the earlier place comes last when it is turned round.
        let longer = |one: &(usize, &Self)| (one.1.path.len(), std::cmp::Reverse(one.0));
        fitting.max_by_key(longer).map(|(position, _)| position)
    }
}

/// A choice among pull secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Which one.
    pub position: usize,
    /// What it opens.
    pub scope: PullScope,
}

/// Which of several pull secrets, by their servers, an image is fetched with; none when none is for it.
pub fn choose<'a>(image: &Reference, servers: impl IntoIterator<Item = &'a str>) -> Option<Chosen> {
    let scope = |(position, server)| PullScope::of_server(server).ok().map(|scope| (position, scope));
    // One whose server cannot be read is for no image, and takes the others nothing.
    let (positions, scopes): (Vec<_>, Vec<_>) = servers.into_iter().enumerate().filter_map(scope).unzip();
    let chosen = PullScope::longest(&scopes, image)?;
    Some(Chosen { position: positions[chosen], scope: scopes[chosen].clone() })
}

/// Why none of these is for the image.
pub fn none_chosen<'a>(image: &Reference, servers: impl IntoIterator<Item = &'a str>) -> ImageError {
    match servers.into_iter().map(PullScope::of_server).collect() {
        Ok(opened) => ImageError::WrongRegistry { opened, image: image.to_string() },
        Err(why) => ImageError::BadServer(why),
    }
}

/// `registry.example.com/acme`.
impl fmt::Display for PullScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.path.is_empty() { "" } else { "/" };
        write!(f, "{}{slash}{}", self.registry, self.path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(server: &str) -> PullScope {
        PullScope::of_server(server).unwrap()
    }

    fn image(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn a_server_opens_its_registry_or_what_is_below_its_path() {
        for (server, shown) in [
            ("registry.example.com", "registry.example.com"),
            (" https://Registry.example.com:5000/ ", "registry.example.com:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("https://registry.example.com/v2", "registry.example.com"),
            ("https://registry.example.com/acme/web/", "registry.example.com/acme/web"),
            ("https://registry.example.com/v2/acme", "registry.example.com/acme"),
            ("ghcr.io/Acme", "ghcr.io/acme"),
            ("docker.io/acme", "docker.io/acme"),
        ] {
            assert_eq!(scope(server).to_string(), shown);
            assert_eq!(scope(shown), scope(server));
        }
        for bad in [
            "a.b/c//d",
            "a.b/c?d",
            "a.b?c/d",
            "a.b#c",
            "a.b/../c",
            "a.b/acme://x",
            "a.b/-c",
            "a.b/v2/v1",
            "a.b/v2/v2/c",
        ] {
            let refused = PullScope::of_server(bad);
            assert_eq!(refused, Err(BadHost::Path), "{bad}");
        }
    }

    #[test]
    fn a_path_opens_whole_parts_of_a_name() {
        for (server, name, opens) in [
            ("registry.example.com", "registry.example.com/a/b", true),
            ("registry.example.com/a", "registry.example.com/a/b", true),
            ("registry.example.com/a/b", "registry.example.com/a/b:1", true),
            ("registry.example.com/a/b", "registry.example.com/a/bc", false),
            ("registry.example.com/a", "registry.example.com/ab", false),
            ("registry.example.com/a", "registry.example.com/b/a", false),
            ("registry.example.com/a", "registry.example.com:5000/a/b", false),
            ("docker.io/library", "alpine", true),
            ("docker.io/acme", "acme/weather", true),
            ("docker.io/acme", "ghcr.io/acme/weather", false),
        ] {
            assert_eq!(scope(server).opens(&image(name)), opens, "{server} {name}");
        }
    }

    #[test]
    fn the_longest_path_wins_and_of_equal_ones_the_first() {
        let scopes = ["r.example/a", "r.example", "r.example/a/b", "other.example", "r.example/a/b"].map(scope);
        for (name, wanted) in [
            ("r.example/a/b/c", Some(2)),
            ("r.example/a/c", Some(0)),
            ("r.example/c", Some(1)),
            ("other.example/a/b", Some(3)),
            ("third.example/a", None),
        ] {
            assert_eq!(PullScope::longest(&scopes, &image(name)), wanted, "{name}");
        }
    }

    proptest! {
        /// A chosen scope opens the image, and no other that opens it is longer.
        #[test]
        fn what_is_chosen_opens(paths in prop::collection::vec("(/[ab]{1,2}){0,3}", 0..6), name in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            let scopes: Vec<_> = paths.iter().map(|path| scope(&format!("r.example{path}"))).collect();
            let image = image(&format!("r.example/{name}"));
            let opening: Vec<_> = scopes.iter().filter(|scope| scope.opens(&image)).collect();
            match PullScope::longest(&scopes, &image) {
                Some(chosen) => {
                    prop_assert!(scopes[chosen].opens(&image));
                    prop_assert!(opening.iter().all(|scope| scope.path.len() <= scopes[chosen].path.len()));
                }
                None => prop_assert!(opening.is_empty()),
            }
        }
    }
}
