//! TLS over a real socket: what a handshake shows, and that changed files are used at once.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use axum::{Router, routing::get};
use meshkeep_web::{Tls, TlsError, serve};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// A private CA that writes certificates for `name` into a directory.
struct Ca(Issuer<'static, KeyPair>, rustls::pki_types::CertificateDer<'static>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self(Issuer::new(params, key), cert.der().clone())
    }

    fn write(&self, name: &str, cert: &Path, key: &Path) {
        let own = KeyPair::generate().unwrap();
        let signed = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&own, &self.0).unwrap();
        // As renewal tools do: a new file under the old name.
        for (path, text) in [(cert, signed.pem()), (key, own.serialize_pem())] {
            let next = path.with_extension("next");
            fs::write(&next, text).unwrap();
            fs::rename(next, path).unwrap();
        }
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.1.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

async fn get_over_tls(ca: &Ca, address: SocketAddr, name: &'static str) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let mut stream = ca.connector().connect(ServerName::try_from(name).unwrap(), stream).await?;
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn new_handshakes_use_the_files_as_they_are_now() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let ca = Ca::new();
    ca.write("one.example", &cert, &key);
    let tls = Tls::load(&cert, &key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stopping = CancellationToken::new();
    let router = Router::new().route("/", get(|| async { "over tls" }));
    let server =
        tokio::spawn(serve(listener, tokio::sync::mpsc::unbounded_channel().1, Some(tls), router, stopping.clone()));

    assert!(get_over_tls(&ca, address, "one.example").await.unwrap().ends_with("over tls"));
    assert!(get_over_tls(&ca, address, "two.example").await.is_err(), "the certificate is for another name");

    ca.write("two.example", &cert, &key);
    assert!(get_over_tls(&ca, address, "two.example").await.unwrap().ends_with("over tls"));

    fs::write(&cert, "half a certif").unwrap();
    assert!(get_over_tls(&ca, address, "two.example").await.is_ok(), "what cannot be used leaves the old one in use");
    fs::remove_file(&key).unwrap();
    assert!(get_over_tls(&ca, address, "two.example").await.is_ok());

    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "plain http is not answered");

    stopping.cancel();
    server.await.unwrap();
}

#[test]
fn files_that_do_not_belong_together_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let ca = Ca::new();
    ca.write("a.example", &path("a.crt"), &path("a.key"));
    ca.write("b.example", &path("b.crt"), &path("b.key"));
    fs::write(path("empty"), "").unwrap();
    let refused = |cert: &str, key: &str| Tls::load(&path(cert), &path(key)).unwrap_err();
    assert!(matches!(refused("a.crt", "b.key"), TlsError::Pair { .. }));
    assert!(matches!(refused("a.key", "a.key"), TlsError::File { what: "certificate", .. }));
    assert!(matches!(refused("empty", "a.key"), TlsError::File { what: "certificate", .. }));
    assert!(matches!(refused("a.crt", "a.crt"), TlsError::File { what: "private key", .. }));
    let missing = refused("a.crt", "nothing").to_string();
    assert!(missing.contains("nothing") && missing.contains("private key"), "{missing}");
}
