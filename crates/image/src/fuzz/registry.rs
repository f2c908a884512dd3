//! What registries and their users write: references, manifests, challenges.

use http::Uri;
use reqwest::Url;

use crate::{
    challenge::{self, Challenge},
    config,
    credential::{TokenService, registry_base},
    host::RegistryHost,
    manifest::{self, MAX_LAYERS, Manifest, ManifestFault, NoChoice},
    reference::Reference,
    remote_text::Hidden,
    scope::PullScope,
    settings::RegistrySettings,
};

/// Image references: what is read names one registry, one path and one version, and no URL that they are put in can
/// mean another.
///
/// # Panics
/// When it could.
pub fn reference(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(host) = RegistryHost::from_server(text) {
        host_is_sound(&host);
    }
    if let Ok(scope) = PullScope::of_server(text) {
        assert_eq!(PullScope::of_server(&scope.to_string()), Ok(scope.clone()));
        // What is written behind the host narrows it, whatever it is.
        let opens_all = scope.to_string() == RegistryHost::from_server(text).expect("it has one").as_str();
        let (_, rest) = RegistryHost::split_server(text).expect("it has one");
        assert_eq!(opens_all, matches!(rest.trim_matches('/').to_ascii_lowercase().as_str(), "" | "v1" | "v2"));
    }
    let Ok(reference) = text.parse::<Reference>() else { return };
    assert_eq!(reference.as_written(), text);
    let again: Reference = reference.to_string().parse().expect("what is shown is a reference");
    assert_eq!(again.to_string(), reference.to_string());
    assert_eq!(
        (again.registry(), again.repository(), again.tag(), again.digest()),
        (reference.registry(), reference.repository(), reference.tag(), reference.digest())
    );
    host_is_sound(reference.registry());
    let base = registry_base(reference.registry(), &RegistrySettings::default());
    let path = format!("/v2/{}/manifests/{}", reference.repository(), reference.wanted());
    let url = base.join(&path).expect("a path");
    assert_eq!((url.path(), url.query(), url.fragment()), (path.as_str(), None, None));
    assert_eq!(url.authority(), base.authority());
}

/// Its text is the same machine to the URL parsers and to us.
fn host_is_sound(host: &RegistryHost) {
    assert_eq!(host.as_str().parse(), Ok(host.clone()));
    assert_eq!(RegistryHost::from_server(host.as_str()), Ok(host.clone()));
    let base = registry_base(host, &RegistrySettings::default());
    assert_eq!(base.scheme(), "https");
    assert!(base.username().is_empty() && base.password().is_none() && base.path() == "/");
    let uri: Uri = base.as_str().parse().expect("a URL");
    assert_eq!(uri.authority().expect("it has one").as_str(), base.authority());
    // A URL leaves its scheme's own port out.
    let (name, port) = (base.host_str().expect("it has one"), base.port_or_known_default().expect("https has one"));
    let authority = host.api_authority();
    assert!(authority == name || authority == format!("{name}:{port}"), "{authority} became {base}");
}

/// Manifests, lists and configs behind a line with their media type.
///
/// # Panics
/// When more is accepted than the bounds allow.
pub fn image_manifest(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (Some(kind), Some(body)) = (parts.next(), parts.next()) else { return };
    let Ok(kind) = str::from_utf8(kind) else { return };
    if kind.ends_with("config.v1+json") || kind.ends_with("container.image.v1+json") {
        return image_config(body);
    }
    match manifest::parse(kind, body) {
        Ok(Manifest::Index(entries)) => {
            assert!(entries.len() <= 1024);
            for architecture in ["amd64", "arm64"] {
                match manifest::choose(&entries, architecture) {
                    Ok(chosen) => assert!(chosen.media_type.contains("manifest.v")),
                    Err(NoChoice::Offered(text)) => assert!(!text.is_empty()),
                    Err(NoChoice::Fault(fault)) => assert!(!fault.to_string().is_empty()),
                }
            }
        }
        Ok(Manifest::Image(image)) => {
            assert!((1..=MAX_LAYERS).contains(&image.layers.len()));
            assert!(image.layers.iter().all(|layer| layer.size <= 256 << 30));
        }
        Err(fault) => assert!(fault.to_string().len() < 200, "a stranger's text in the message"),
    }
}

fn image_config(body: &[u8]) {
    let layers = match config::parse(body, 0) {
        Err(ManifestFault::LayerCount { config, manifest: 0 }) => config,
        _ => 0,
    };
    match config::parse(body, layers) {
        Ok(read) => {
            assert!(read.diff_ids.len() == layers && layers <= MAX_LAYERS);
            let env = &read.config.env;
            for (at, (name, value)) in env.iter().enumerate() {
                assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
                assert!(env[..at].iter().all(|(other, _)| other != name), "a variable is there twice");
            }
        }
        Err(fault) => assert!(fault.to_string().len() < 200, "a stranger's text in the message"),
    }
}

/// `WWW-Authenticate`, a header per line: whatever a registry asks for, nothing goes to a host that is not its own, and
/// nothing in the clear.
///
/// # Panics
/// When it would.
pub fn challenge(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let challenges = challenge::parse(text.split('\n'));
    let offers_token = challenges.iter().any(|one| matches!(one, Challenge::Bearer(_)));
    let any = !challenges.is_empty();
    let chosen = challenge::choose(challenges);
    assert_eq!(chosen.is_some(), any);
    let Some(Challenge::Bearer(bearer)) = chosen else {
        assert!(!offers_token, "the password was preferred to a token");
        return;
    };
    assert!(!bearer.realm.is_empty());
    let settings = RegistrySettings::default();
    for registry in ["registry.example.com", "docker.io", "10.0.0.1:5000", "localhost:5000", "example.co.uk"] {
        let registry: RegistryHost = registry.parse().expect("a host");
        let Ok(service) = TokenService::check(&registry, &settings, &bearer.realm, Hidden::default()) else { continue };
        let url: &Url = service.url();
        assert_eq!(url.scheme(), "https");
        assert!(url.username().is_empty() && url.password().is_none());
        let host = url.host_str().expect("it has one");
        let own = match registry.as_str() {
            "registry.example.com" => host == "example.com" || host.ends_with(".example.com"),
            "docker.io" => host == "docker.io" || host.ends_with(".docker.io"),
            "example.co.uk" => host == "example.co.uk" || host.ends_with(".example.co.uk"),
            _ => host == registry.host_name(),
        };
        assert!(own, "{registry} sends to {host}");
    }
}
