//! What can be said of an image's name while it is typed.

use meshkeep_image::{Reference, RegistryHost};

use crate::Control;

/// A name of an image, looked at without asking any registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageCheck {
    /// The registry that it is fetched from, or why it names no image.
    pub registry: Result<String, String>,
    /// Whether a credential of the given server is for that registry; true when none was given.
    pub is_of_server: bool,
}

impl Control {
    /// Looks at the name of an image, and whether the server of its pull secret is where it comes from.
    #[must_use]
    pub fn check_image(image: &str, server: Option<&str>) -> ImageCheck {
        match image.parse::<Reference>() {
            Ok(reference) => {
                let registry = reference.registry();
                let fits = |server| RegistryHost::from_server(server).is_ok_and(|server| server == *registry);
                ImageCheck { registry: Ok(registry.to_string()), is_of_server: server.is_none_or(fits) }
            }
            Err(why) => ImageCheck { registry: Err(why.to_string()), is_of_server: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_named_and_compared() {
        let check = |image: &str, server| Control::check_image(image, server);
        assert_eq!(check("weather", Some("https://index.docker.io/v1/")).registry.unwrap(), "docker.io");
        assert!(check("weather", Some("https://index.docker.io/v1/")).is_of_server);
        assert!(!check("ghcr.io/acme/weather:1", Some("docker.io")).is_of_server);
        assert!(check("ghcr.io/acme/weather:1", None).is_of_server);
        assert!(check("No Image", None).registry.is_err());
    }
}
