//! What can be said of an image's name while it is typed.

use meshkeep_image::{Reference, choose};

use crate::Control;

/// A name of an image, looked at without asking any registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageCheck {
    /// The registry that it is fetched from, or why it names no image.
    pub registry: Result<String, String>,
    /// Which of the given servers, if there are any, it is fetched with the credential of.
    pub fitting: Option<usize>,
}

impl Control {
    /// Looks at the name of an image, and which of the servers of its pull secrets it is fetched with.
    #[must_use]
    pub fn check_image(image: &str, servers: &[&str]) -> ImageCheck {
        match image.parse::<Reference>() {
            Ok(reference) => {
                let fitting = choose(&reference, servers.iter().copied()).map(|chosen| chosen.position);
                ImageCheck { registry: Ok(reference.registry().to_string()), fitting }
            }
            Err(why) => ImageCheck { registry: Err(why.to_string()), fitting: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_named_and_compared() {
        let check = Control::check_image;
        assert_eq!(check("weather", &["https://index.docker.io/v1/"]).registry.unwrap(), "docker.io");
        assert_eq!(check("weather", &["https://index.docker.io/v1/"]).fitting, Some(0));
        assert_eq!(check("ghcr.io/acme/weather:1", &["docker.io"]).fitting, None);
        assert_eq!(check("ghcr.io/acme/weather:1", &["ghcr.io", "ghcr.io/acme"]).fitting, Some(1));
        assert_eq!(check("ghcr.io/acme/weather:1", &[]).fitting, None);
        assert!(check("No Image", &[]).registry.is_err());
    }
}
