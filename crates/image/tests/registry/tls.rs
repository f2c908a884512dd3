//! TLS: a private CA by its file, and what is said when the certificate is not trusted.

use std::sync::Arc;

use meshkeep_image::{
    HostSettings, RegistrySettings,
    testing::{Answer, ImageParts, Seen, Server, answer},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::support::{Shelf, assert_refused, challenge, credential, scripted, serve_parts, small, with_password};

const NAME: &str = "registry.corp.test";

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions();
        Arc::new(config.unwrap().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }
}

async fn serve(config: Arc<ServerConfig>, parts: ImageParts) -> Server {
    serve_script(config, move |seen| with_password(seen, || serve_parts(&parts, seen))).await
}

async fn serve_script(config: Arc<ServerConfig>, script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Server {
    let acceptor = TlsAcceptor::from(config);
    Server::start_with(
        move |stream| {
            let acceptor = acceptor.clone();
            async move { acceptor.accept(stream).await.ok() }
        },
        move |seen| {
            let answer = script(&seen);
            async move { answer }
        },
    )
    .await
}

fn settings(host: &str, section: HostSettings) -> RegistrySettings {
    let settings = RegistrySettings::new([(host.parse().unwrap(), section)].into());
    settings.names.add(NAME, &["127.0.0.1"]);
    settings
}

#[tokio::test]
async fn a_private_ca_is_trusted_by_its_file_and_for_its_host_only() {
    let (ours, other) = (Authority::new(), Authority::new());
    let parts = small();
    let server = serve(ours.server(NAME), parts.clone()).await;
    let host = format!("{NAME}:{}", server.port());
    let reference = format!("{host}/team/app:1");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let private = |ca_file| HostSettings { allow_private: true, ca_file, ..HostSettings::default() };

    let trusting = Shelf::new(settings(&host, private(file("ours", ours.0.pem())))).await;
    let image = trusting.fetch(&reference, Some(&credential(&host))).await.unwrap();
    assert_eq!(image.digest, parts.digest());

    server.forget();
    for ca_file in
        [None, file("other", other.0.pem()), file("empty", String::new()), Some("/nonexistent/ca.pem".into())]
    {
        let shelf = Shelf::new(settings(&host, private(ca_file))).await;
        assert_refused(shelf.fetch(&reference, Some(&credential(&host))).await, "tls");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let server = serve(authority.server("another.corp.test"), small()).await;
    let host = format!("{NAME}:{}", server.port());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, authority.0.pem()).unwrap();
    let section = HostSettings { allow_private: true, ca_file: Some(path), ..HostSettings::default() };
    let shelf = Shelf::new(settings(&host, section)).await;
    let refused = assert_refused(shelf.fetch(&format!("{host}/team/app:1"), Some(&credential(&host))).await, "tls");
    assert!(refused.to_string().contains("not valid for name"), "{refused}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn https_where_http_was_promised_is_named() {
    let authority = Authority::new();
    let server = serve(authority.server(NAME), small()).await;
    let host = format!("{NAME}:{}", server.port());
    let shelf = Shelf::new(settings(&host, HostSettings { insecure: true, ..HostSettings::default() })).await;
    // A TLS server that gets http either says so or hangs up.
    let error = shelf.fetch(&format!("{host}/team/app:1"), Some(&credential(&host))).await.unwrap_err();
    assert!(["bad_answer", "registry_unreachable"].contains(&error.code()), "{error:?}");
    assert!(server.seen().is_empty());
}

type Script = Box<dyn Fn(&Seen) -> Answer + Send + Sync>;

#[tokio::test]
async fn nothing_goes_from_https_to_plain_http() {
    let authority = Authority::new();
    let plain = scripted(|_| answer(200, &[], r#"{"token":"x"}"#)).await;
    // The same machine by the same name: only the scheme differs.
    let target = format!("http://{NAME}:{}/x", plain.port());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, authority.0.pem()).unwrap();
    let realm = format!(r#"Bearer realm="{target}",service="x""#);
    let parts = small();
    let scripts: [(&str, Script); 3] = [
        ("token_service_refused", Box::new(move |_| challenge(&realm))),
        ("redirect_refused", {
            let target = target.clone();
            Box::new(move |seen| with_password(seen, || answer(307, &[("location", &target)], "")))
        }),
        (
            "redirect_refused",
            Box::new(move |seen| {
                with_password(seen, || match seen.path.contains("/blobs/") {
                    true => answer(302, &[("location", &target)], ""),
                    false => serve_parts(&parts, seen),
                })
            }),
        ),
    ];
    for (code, script) in scripts {
        let server = serve_script(authority.server(NAME), script).await;
        let host = format!("{NAME}:{}", server.port());
        let section = HostSettings { allow_private: true, ca_file: Some(path.clone()), ..HostSettings::default() };
        let shelf = Shelf::new(settings(&host, section)).await;
        let outcome = shelf.fetch(&format!("{host}/team/app:1"), Some(&credential(&host))).await;
        assert_refused(outcome, code);
        assert!(!server.seen().is_empty());
    }
    assert_eq!(plain.connections(), 0);
}
