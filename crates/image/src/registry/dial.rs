//! Makes connections: which client for which host, which addresses, and what a failed connection means.
//!
//! What must stay true: every request of this crate goes through [`Dialer::send`]; a name is resolved once, its addresses
//! are judged, and exactly those are dialled; no proxy, no redirect, no cookie, no referer.

use std::{
    collections::HashMap,
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header::AsHeaderName};
use reqwest::{
    Client, Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use crate::{
    address,
    error::ImageError,
    remote_text::{Hidden, RemoteText},
    settings::{HostSettings, RegistrySettings},
};

const CONNECT: Duration = Duration::from_secs(10);
const IDLE_READ: Duration = Duration::from_secs(60);
const MAX_CA_FILE: u64 = 4 << 20;

/// Why an established connection ended early; the same request may be tried again.
pub(crate) const BROKEN: &str = "the connection broke";

/// One request.
pub(crate) struct Outgoing<'a> {
    /// What the operator says about the URL's host.
    pub section: &'a HostSettings,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
    /// Bounds the whole exchange; without it only silence is bounded.
    pub limit: Option<Duration>,
    /// What the other side may know and no error may repeat.
    pub hidden: Hidden<'a>,
}

/// An answer's head; its body is still to come.
pub(crate) struct Reply {
    pub response: Response,
    /// The host that gave it, for messages.
    pub host: RemoteText,
}

impl Reply {
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ImageError> {
        self.response.chunk().await.map_err(|error| failed(&error, &self.host, Hidden::default()))
    }

    /// A header that is text.
    pub fn text_header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }
}

/// Sends single requests.
pub(crate) struct Dialer {
    settings: Arc<RegistrySettings>,
    clients: Mutex<HashMap<Kind, Client>>,
}

/// What distinguishes clients; hosts with equal settings share one and its connections.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    ca_file: Option<PathBuf>,
    may_be_private: bool,
    tls: bool,
}

impl Dialer {
    pub fn new(settings: Arc<RegistrySettings>) -> Self {
        Self { settings, clients: Mutex::default() }
    }

    pub fn settings(&self) -> &RegistrySettings {
        &self.settings
    }

    /// Sends one request and returns the answer's head, whatever its status.
    pub async fn send(&self, outgoing: Outgoing<'_>) -> Result<Reply, ImageError> {
        let Outgoing { section, method, url, headers, body, limit, hidden } = outgoing;
        let host = shown_host(&url, hidden);
        check_url(&url, section, &host)?;
        let client = self.client(section, url.scheme() == "https", &host)?;
        let mut request = client.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        match request.send().await {
            Ok(response) => Ok(Reply { response, host }),
            Err(error) => Err(failed(&error, &host, hidden)),
        }
    }

    /// How long a registry may be silent.
    fn silence(&self) -> Duration {
        #[cfg(any(test, feature = "testing"))]
        return self.settings.silence.unwrap_or(IDLE_READ);
        #[cfg(not(any(test, feature = "testing")))]
        IDLE_READ
    }

    fn client(&self, section: &HostSettings, tls: bool, host: &RemoteText) -> Result<Client, ImageError> {
        let kind =
            Kind { ca_file: section.ca_file.clone().filter(|_| tls), may_be_private: section.may_be_private(), tls };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let resolver = Resolver {
            may_be_private: kind.may_be_private,
            #[cfg(any(test, feature = "testing"))]
            names: self.settings.names.clone(),
        };
        let client = build(&kind, resolver, self.silence(), host)?;
        clients.insert(kind, client.clone());
        Ok(client)
    }
}

fn build(kind: &Kind, resolver: Resolver, silence: Duration, host: &RemoteText) -> Result<Client, ImageError> {
    install_tls();
    let mut builder = Client::builder()
        .user_agent(concat!("meshkeep/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT)
        .read_timeout(silence)
        .dns_resolver(Arc::new(resolver));
    if !kind.tls {
        // The system's certificates are not needed, and may not be there.
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = &kind.ca_file {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    builder.build().map_err(|error| ImageError::Tls {
        host: host.clone(),
        why: RemoteText::new(&innermost(&error), Hidden::default()),
    })
}

/// Chooses who computes for TLS, once for the whole process.
pub(crate) fn install_tls() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails only when the program installed one already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Certificates that the operator trusts; the path is the operator's own.
fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ImageError> {
    let bad = |why: &str| ImageError::Tls {
        host: RemoteText::new(&path.display().to_string(), Hidden::default()),
        why: RemoteText::new(why, Hidden::default()),
    };
    let size = std::fs::metadata(path).map_err(|error| bad(&format!("the ca_file cannot be read: {error}")))?.len();
    if size > MAX_CA_FILE {
        return Err(bad("the ca_file is larger than 4 MiB"));
    }
    let pem = std::fs::read(path).map_err(|error| bad(&format!("the ca_file cannot be read: {error}")))?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(bad("the ca_file holds no PEM certificate")),
    }
}

/// Plain http only where the operator allows it; an address written out is judged like a resolved one.
fn check_url(url: &Url, section: &HostSettings, host: &RemoteText) -> Result<(), ImageError> {
    if url.scheme() != "https" && !section.insecure {
        return Err(ImageError::SpeaksHttp { host: host.clone() });
    }
    let literal = match url.host() {
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
        _ => return Ok(()),
    };
    match address::refused(literal) {
        Some(why) if !section.may_be_private() => {
            Err(ImageError::RefusedAddress { host: host.clone(), address: literal, why })
        }
        _ => Ok(()),
    }
}

/// `host[:port]` of a URL, for messages.
pub(crate) fn shown_host(url: &Url, hidden: Hidden<'_>) -> RemoteText {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    RemoteText::new(&format!("{}{port}", url.host_str().unwrap_or("(none)")), hidden)
}

/// Resolves names and keeps only addresses that may be dialled.
struct Resolver {
    may_be_private: bool,
    #[cfg(any(test, feature = "testing"))]
    names: crate::testing::Names,
}

/// The name has addresses, but none that may be dialled.
#[derive(Debug, thiserror::Error)]
#[error("{address} is {why}")]
struct RefusedAddress {
    address: IpAddr,
    why: &'static str,
}

/// The name has no address.
#[derive(Debug, thiserror::Error)]
#[error("no address")]
struct NoAddress;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let may_be_private = self.may_be_private;
        #[cfg(any(test, feature = "testing"))]
        let known = self.names.resolve(name.as_str());
        #[cfg(not(any(test, feature = "testing")))]
        let known: Option<Vec<IpAddr>> = None;
        Box::pin(async move {
            let found: Vec<IpAddr> = match known {
                Some(addresses) => addresses,
                None => tokio::net::lookup_host((name.as_str(), 0))
                    .await
                    .map_err(|_| NoAddress)?
                    .map(|address| address.ip())
                    .collect(),
            };
            Ok(Box::new(judged(found, may_be_private)?.into_iter()) as Addrs)
        })
    }
}

/// The addresses of `found` that may be dialled; an error when there are none.
fn judged(found: Vec<IpAddr>, may_be_private: bool) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let mut refusal = None;
    let mut dialled = Vec::new();
    for address in found {
        match address::refused(address) {
            Some(why) if !may_be_private => refusal = Some(RefusedAddress { address, why }),
            _ => dialled.push(SocketAddr::new(address, 0)),
        }
    }
    match (dialled.is_empty(), refusal) {
        (false, _) => Ok(dialled),
        (true, Some(refusal)) => Err(refusal.into()),
        (true, None) => Err(NoAddress.into()),
    }
}

/// What a failed exchange means. Nothing of the URL is kept but its host.
fn failed(error: &reqwest::Error, host: &RemoteText, hidden: Hidden<'_>) -> ImageError {
    let host = host.clone();
    let unreachable = |why| ImageError::Unreachable { host: host.clone(), why };
    let mut kind = None;
    for cause in causes(error) {
        if let Some(refused) = cause.downcast_ref::<RefusedAddress>() {
            return ImageError::RefusedAddress { host, address: refused.address, why: refused.why };
        }
        if cause.is::<NoAddress>() {
            return ImageError::Dns { host };
        }
        match cause.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidMessage(_)) => return ImageError::SpeaksHttp { host },
            Some(tls) => return ImageError::Tls { host, why: RemoteText::new(&tls.to_string(), hidden) },
            None => {}
        }
        kind = cause.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
    }
    match kind {
        _ if error.is_timeout() => unreachable("it did not answer in time"),
        Some(io::ErrorKind::ConnectionRefused) => unreachable("the connection was refused"),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            unreachable("there is no route to it")
        }
        Some(io::ErrorKind::TimedOut) => unreachable("it did not answer in time"),
        _ if error.is_connect() && kind.is_none() => unreachable("no connection could be made"),
        _ => unreachable(BROKEN),
    }
}

/// An error and all its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// What an error was made of; an `io::Error` hides that from `source`.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}
