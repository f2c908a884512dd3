//! The server's certificate: read from two files, read again when they change.
//!
//! What must stay true: a pair that cannot be read or does not fit leaves the one in use in use.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

/// Why there is no TLS. Never holds key bytes.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or is no PEM of its kind.
    #[error("{path} is not a readable PEM file with a {what}")]
    File {
        /// Which file.
        path: String,
        /// Certificate or private key.
        what: &'static str,
    },
    /// The key does not belong to the certificate, or is of a kind that is not known.
    #[error("the private key in {key} does not fit the certificate in {cert}")]
    Pair {
        /// The certificate's file.
        cert: String,
        /// The key's file.
        key: String,
    },
    /// Our bug.
    #[error("TLS could not be set up")]
    Setup(#[source] rustls::Error),
}

/// TLS for accepted connections. New handshakes use the files as they are now.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    pair: Arc<Pair>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When they are not a certificate chain and its key.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mark = Mark::of(cert, key);
        let current = load(cert, key, &provider)?;
        let pair = Arc::new(Pair {
            cert: cert.to_owned(),
            key: key.to_owned(),
            provider: Arc::clone(&provider),
            current: RwLock::new(current),
            seen: Mutex::new(mark),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&pair) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), pair })
    }

    /// For one new connection, with the files as they are now.
    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        self.pair.renew();
        &self.acceptor
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pair.fmt(f)
    }
}

struct Pair {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Mark>,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("cert", &self.cert).field("key", &self.key).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Replacing an Arc cannot be interrupted half-way.
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Pair {
    /// Two `stat` calls; reading only when one of them changed, once per change.
    fn renew(&self) {
        let now = Mark::of(&self.cert, &self.key);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        match load(&self.cert, &self.key, &self.provider) {
            Ok(pair) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = pair;
                tracing::info!(cert = %self.cert.display(), "the TLS certificate was read again");
            }
            Err(error) => tracing::warn!(%error, "the TLS files changed but cannot be used; the old ones stay in use"),
        }
    }
}

/// Tells whether files changed: inode, size and modification time of both.
#[derive(PartialEq, Eq)]
struct Mark([Option<(u64, u64, i64, i64)>; 2]);

impl Mark {
    fn of(cert: &Path, key: &Path) -> Self {
        let mark = |meta: Metadata| (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
        Self([cert, key].map(|path| path.metadata().ok().map(mark)))
    }
}

fn load(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let bad = |path: &Path, what| TlsError::File { path: path.display().to_string(), what };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(|_| bad(cert, "certificate"))?;
    if chain.is_empty() {
        return Err(bad(cert, "certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|_| bad(key, "private key"))?;
    CertifiedKey::from_der(chain, private, provider)
        .map(Arc::new)
        .map_err(|_| TlsError::Pair { cert: cert.display().to_string(), key: key.display().to_string() })
}
