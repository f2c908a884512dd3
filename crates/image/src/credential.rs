//! The one place that decides where a credential may go, and the only one that makes an `Authorization` header of one. (What
//! `registry::ecr` sends has a signature in it, and nothing of the key.)
//!
//! What must stay true: a pull secret's user name and password go to the registry that the secret names and to that
//! registry's own token service, over https (or to a host the operator marked insecure), and nowhere else. A token goes
//! to the registry it was asked for. Both hold by construction: headers are made from the URL of the request.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::HeaderValue;
use meshkeep_core::{SecretText, secret::PullCredential};
use reqwest::Url;
use zeroize::Zeroizing;

use crate::{
    error::ImageError,
    host::RegistryHost,
    reference::Reference,
    remote_text::{Hidden, RemoteText},
    scope::PullScope,
    settings::{RegistrySettings, named_token_service},
};

/// Token services on another domain than their registry's that are known to be its own.
const KNOWN_TOKEN_SERVICES: [(&str, &str); 1] = [("docker.io", "auth.docker.io")];

/// `scheme://host[:port]` of a registry; https unless the operator marked it insecure.
pub(crate) fn registry_base(registry: &RegistryHost, settings: &RegistrySettings) -> Url {
    let scheme = if settings.host(registry).insecure { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{}/", registry.api_authority())).expect("a RegistryHost is a URL's authority")
}

/// A credential that may be used for one image on its registry.
pub(crate) struct Grant<'a> {
    base: Url,
    credential: &'a PullCredential,
}

impl<'a> Grant<'a> {
    /// # Errors
    /// The credential is for another registry or another path of it, or cannot be sent at all.
    pub fn new(
        image: &Reference,
        settings: &RegistrySettings,
        credential: &'a PullCredential,
    ) -> Result<Self, ImageError> {
        let scope = PullScope::of_server(&credential.server).map_err(ImageError::BadServer)?;
        if !scope.opens(image) {
            return Err(ImageError::WrongRegistry { opened: vec![scope], image: image.to_string() });
        }
        if credential.username.expose().contains([':', '\0', '\r', '\n']) {
            return Err(ImageError::UnusableCredential("its user name holds a colon or a line end"));
        }
        if credential.username.is_empty() && credential.password.is_empty() {
            return Err(ImageError::UnusableCredential("it is empty"));
        }
        Ok(Self { base: registry_base(image.registry(), settings), credential })
    }

    /// The credential, to keep it out of texts.
    pub const fn credential(&self) -> &'a PullCredential {
        self.credential
    }

    /// The header for a request to the registry itself; `None` for any other origin.
    pub fn for_registry(&self, url: &Url) -> Option<HeaderValue> {
        same_origin(url, &self.base).then(|| self.basic())
    }

    /// The header for a request to the registry's token service.
    pub fn for_token_service(&self, _service: &TokenService) -> HeaderValue {
        self.basic()
    }

    fn basic(&self) -> HeaderValue {
        let (user, password) = (self.credential.username.expose(), self.credential.password.expose());
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let mut header = Zeroizing::new(String::with_capacity(pair.len() * 4 / 3 + 16));
        header.push_str("Basic ");
        STANDARD.encode_string(pair.as_bytes(), &mut header);
        sensitive(header)
    }
}

/// A token for one registry.
#[derive(Clone)]
pub(crate) struct Token {
    base: Url,
    text: SecretText,
}

impl Token {
    /// A token that `registry`'s token service gave; `None` when it is not fit for a header.
    pub fn new(registry: &RegistryHost, settings: &RegistrySettings, text: SecretText) -> Option<Self> {
        let visible = !text.is_empty() && text.expose().bytes().all(|b| b.is_ascii_graphic());
        visible.then(|| Self { base: registry_base(registry, settings), text })
    }

    /// Its text, to keep it out of other texts.
    pub const fn text(&self) -> &SecretText {
        &self.text
    }

    /// The header for a request to the registry; `None` for any other origin.
    pub fn for_registry(&self, url: &Url) -> Option<HeaderValue> {
        same_origin(url, &self.base).then(|| sensitive(Zeroizing::new(format!("Bearer {}", self.text.expose()))))
    }
}

/// A header whose bytes are wiped when the last copy of it is dropped.
fn sensitive(text: Zeroizing<String>) -> HeaderValue {
    struct Wiped(Zeroizing<String>);
    impl AsRef<[u8]> for Wiped {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    let mut header =
        HeaderValue::from_maybe_shared(Bytes::from_owner(Wiped(text))).expect("checked to be visible ASCII");
    header.set_sensitive(true);
    header
}

/// Scheme, host and port are equal.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// A URL that was found to be a registry's own token service.
#[derive(Clone, Debug)]
pub(crate) struct TokenService(Url);

impl TokenService {
    /// Where to ask.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Decides whether `realm`, as the registry wrote it, is its own token service.
    ///
    /// # Errors
    /// [`ImageError::TokenService`]: it is not, and nothing may be sent there, not even a request without credential.
    pub fn check(
        registry: &RegistryHost,
        settings: &RegistrySettings,
        realm: &str,
        hidden: Hidden<'_>,
    ) -> Result<Self, ImageError> {
        let url = Url::parse(realm).ok();
        let shown = url.as_ref().and_then(RegistryHost::of_url).map_or("(none)".to_owned(), String::from);
        let decision = match url {
            Some(url) => decide(registry, settings, &url).map(|()| Self(url)),
            None => Err("is not a URL"),
        };
        decision.map_err(|why| ImageError::TokenService {
            registry: registry.clone(),
            realm: RemoteText::new(&shown, hidden),
            why,
        })
    }
}

fn decide(registry: &RegistryHost, settings: &RegistrySettings, realm: &Url) -> Result<(), &'static str> {
    let host = RegistryHost::of_url(realm).ok_or("is not a host that can be asked")?;
    if !realm.username().is_empty() || realm.password().is_some() {
        return Err("holds a user name");
    }
    let section = settings.host(registry);
    let named = named_token_service(&section).is_some_and(|named| named == host);
    let same_host = host.host_name()
        == RegistryHost::of_url(&registry_base(registry, settings)).ok_or("has no host")?.host_name()
        || host.host_name() == registry.host_name();
    let known = KNOWN_TOKEN_SERVICES.contains(&(registry.as_str(), host.as_str()));
    if !(named || same_host || known || same_registrable_domain(registry.host_name(), host.host_name())) {
        return Err("is not on the registry's own domain");
    }
    match realm.scheme() {
        "https" => Ok(()),
        // Plain http: the registry itself is spoken to in plain http, and so may this host be.
        "http" if section.insecure && (named || same_host || settings.host(&host).insecure) => Ok(()),
        "http" => Err("would get the credential over plain http"),
        _ => Err("is neither https nor http"),
    }
}

/// Whether one organisation registered both names. IP addresses and single labels have no registrable domain.
fn same_registrable_domain(one: &str, other: &str) -> bool {
    let domain = |host: &str| -> Option<String> {
        let is_name = host.parse::<std::net::IpAddr>().is_err();
        is_name.then(|| psl::domain_str(host).map(str::to_owned)).flatten()
    };
    domain(one).is_some_and(|domain_of_one| domain(other) == Some(domain_of_one))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::HostSettings;

    fn host(text: &str) -> RegistryHost {
        text.parse().unwrap()
    }

    fn image(text: &str) -> Reference {
        text.parse().unwrap()
    }

    fn settings(of: &str, section: HostSettings) -> RegistrySettings {
        RegistrySettings { hosts: [(host(of), section)].into(), ..RegistrySettings::default() }
    }

    fn credential(server: &str) -> PullCredential {
        PullCredential { server: server.into(), username: "robot".into(), password: "pa:ss\nword".into() }
    }

    fn may_ask(registry: &str, settings: &RegistrySettings, realm: &str) -> bool {
        TokenService::check(&host(registry), settings, realm, Hidden::default()).is_ok()
    }

    #[test]
    fn token_services_on_the_registrys_own_domain_are_asked() {
        let plain = RegistrySettings::default();
        for (registry, realm) in [
            ("docker.io", "https://auth.docker.io/token"),
            ("ghcr.io", "https://ghcr.io/token"),
            ("quay.io", "https://quay.io/v2/auth"),
            ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
            ("registry.example.co.uk:5000", "https://auth.example.co.uk:8443/token"),
            ("10.1.2.3:5000", "https://10.1.2.3:5001/token"),
            ("[::1]:5000", "https://[::1]/token"),
            ("registry", "https://registry:5001/token"),
        ] {
            assert!(may_ask(registry, &plain, realm), "{registry} {realm}");
        }
    }

    #[test]
    fn all_others_are_not() {
        let plain = RegistrySettings::default();
        for (registry, realm) in [
            ("registry.example.com", "https://evil.com/token"),
            ("registry.example.com", "http://registry.example.com/token"),
            ("registry.example.com", "https://registry.example.com@evil.com/token"),
            ("registry.example.com", "https://registry.example.com.evil.com/token"),
            ("registry.example.com", "https://user:pw@registry.example.com/token"),
            ("registry.example.com", "ftp://registry.example.com/token"),
            ("registry.example.com", "file:///etc/passwd"),
            ("registry.example.com", "//evil.com"),
            ("registry.example.com", "/token"),
            ("registry.example.com", "https://169.254.169.254/token"),
            ("one.co.uk", "https://two.co.uk/token"),
            ("one.github.io", "https://two.github.io/token"),
            ("10.1.2.3", "https://10.1.2.4/token"),
            ("docker.io", "https://auth.docker.com/token"),
            ("docker.io", "https://auth.docker.io.evil.com/token"),
            ("registry", "https://auth/token"),
        ] {
            assert!(!may_ask(registry, &plain, realm), "{registry} {realm}");
        }
    }

    #[test]
    fn the_operator_can_name_one() {
        let section =
            HostSettings { token_service: Some("https://login.other.org/".into()), ..HostSettings::default() };
        let named = settings("registry.example.com", section);
        assert!(may_ask("registry.example.com", &named, "https://login.other.org/token"));
        assert!(!may_ask("registry.example.com", &named, "http://login.other.org/token"));
        assert!(!may_ask("registry.example.com", &named, "https://login.other.org:8443/token"));
        assert!(!may_ask("other.example.org", &named, "https://login.other.org.example/token"));
    }

    #[test]
    fn plain_http_needs_the_insecure_mark() {
        let section = HostSettings { insecure: true, ..HostSettings::default() };
        let insecure = settings("registry.example.com:5000", section);
        assert!(may_ask("registry.example.com:5000", &insecure, "http://registry.example.com:5001/token"));
        assert!(!may_ask("registry.example.com:5000", &insecure, "http://auth.example.com/token"));
        assert!(may_ask("registry.example.com:5000", &insecure, "https://auth.example.com/token"));
        assert!(!may_ask("registry.example.com", &insecure, "http://registry.example.com/token"));
    }

    #[test]
    fn the_password_is_for_the_registrys_origin_only() {
        let plain = RegistrySettings::default();
        let credential = credential("https://registry.example.com/v2/");
        let grant = Grant::new(&image("registry.example.com/a"), &plain, &credential).unwrap();
        let url = |text: &str| Url::parse(text).unwrap();
        let header = grant.for_registry(&url("https://registry.example.com/v2/a/manifests/b")).unwrap();
        assert!(header.is_sensitive());
        assert_eq!(header, format!("Basic {}", STANDARD.encode("robot:pa:ss\nword")));
        for other in [
            "http://registry.example.com/v2/",
            "https://registry.example.com:444/v2/",
            "https://cdn.example.com/v2/",
            "https://registry.example.com.evil.com/",
        ] {
            assert!(grant.for_registry(&url(other)).is_none(), "{other}");
        }
        for other in ["docker.io/a", "registry.example.com:444/a"] {
            let refused = Grant::new(&image(other), &plain, &credential);
            assert!(matches!(refused, Err(ImageError::WrongRegistry { .. })), "{other}");
        }
    }

    #[test]
    fn a_credential_for_a_path_opens_nothing_beside_it() {
        let plain = RegistrySettings::default();
        let of_team = credential("registry.example.com/team");
        assert!(Grant::new(&image("registry.example.com/team/app"), &plain, &of_team).is_ok());
        for other in ["registry.example.com/teams/app", "registry.example.com/app", "registry.example.com/app/team"] {
            let refused = Grant::new(&image(other), &plain, &of_team);
            assert!(matches!(refused, Err(ImageError::WrongRegistry { .. })), "{other}");
        }
    }

    proptest! {
        /// Whatever the realm: the credential goes to a host that shares the registry's host or registrable domain.
        #[test]
        fn no_realm_leaves_the_registrys_domain(
            realm in "(https?|ftp)://([a-z]{1,6}[.@:/]){0,3}(example\\.com|evil\\.com|example\\.com\\.evil\\.org|127\\.0\\.0\\.1)(:[0-9]{1,4})?(/[a-z?#@]{0,8})?"
        ) {
            let registry = host("registry.example.com");
            if let Ok(service) = TokenService::check(&registry, &RegistrySettings::default(), &realm, Hidden::default()) {
                let name = service.url().host_str().unwrap();
                prop_assert!(name == "example.com" || name.ends_with(".example.com"), "{}", name);
                prop_assert_eq!(service.url().scheme(), "https");
                prop_assert_eq!(service.url().username(), "");
            }
        }

        /// A credential is usable on its own registry and on no other.
        #[test]
        fn a_credential_opens_its_own_registry_only(server in "[a-z]{1,3}\\.[a-z]{2}(:[1-9][0-9])?", registry in "[a-z]{1,3}\\.[a-z]{2}(:[1-9][0-9])?") {
            let image = image(&format!("{registry}/a"));
            let granted = Grant::new(&image, &RegistrySettings::default(), &credential(&server)).is_ok();
            prop_assert_eq!(granted, host(&server) == host(&registry));
        }
    }
}
