//! The API, called: one place that knows addresses, the credential and how a refusal looks on the wire.
//!
//! What must stay true: the credential goes to the stated server alone (no redirect is followed), and neither it nor a
//! body stands in an error.

use std::{io, time::Duration};

use bytes::Bytes;
use meshkeep_core::{
    Refusal,
    wire::{ErrorBody, kind_of},
};
use reqwest::{
    Method, Response, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH},
    redirect::Policy,
};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{
    config::ClientConfig,
    failure::{Exit, Failure},
};

/// Bytes of an answer at most, logs aside.
const MAX_ANSWER: usize = 64 << 20;
/// How long an answer may take; ending a session waits for its services.
const PATIENCE: Duration = Duration::from_secs(300);

/// The server and project of all calls.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    project: Url,
}

impl Client {
    /// Does not connect yet.
    ///
    /// # Errors
    /// When the credential cannot be sent, or TLS cannot be prepared.
    pub fn new(config: &ClientConfig) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer(config)?);
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(10));
        if config.api_url.scheme() == "http" {
            // Reading the machine's certificates would be most of a short call's time.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&config.api_url) {
            builder = builder.no_proxy();
        }
        // Another part may have installed the same one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = builder.build().map_err(|error| {
            Failure::new(Exit::Host, format!("the connection cannot be prepared: {}", cause(&error)))
        })?;
        let mut project = config.api_url.clone();
        extend(&mut project, &["accounts", "projects", &config.project.to_string()]);
        Ok(Self { http, project })
    }

    /// A call on a path within the project.
    pub fn call(&self, method: Method, path: &[&str]) -> Call {
        let mut url = self.project.clone();
        extend(&mut url, path);
        Call { http: self.http.clone(), method, url, if_version: None, body: None }
    }

    /// Reads something.
    ///
    /// # Errors
    /// As [`Call::answer`].
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.call(Method::GET, path).answer().await
    }
}

/// One request, before it is sent.
#[derive(Debug)]
pub struct Call {
    http: reqwest::Client,
    method: Method,
    url: Url,
    if_version: Option<u32>,
    body: Option<Bytes>,
}

impl Call {
    /// With a query parameter.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Only when this is still the newest version.
    pub fn if_version(mut self, version: Option<u32>) -> Self {
        self.if_version = version;
        self
    }

    /// With a JSON body, which is wiped when it was sent.
    ///
    /// # Errors
    /// When it is no JSON, which a wire type always is.
    pub fn body<T: Serialize>(mut self, body: &T) -> Result<Self, Failure> {
        let text =
            wiped_json(body).map_err(|_| Failure::new(Exit::Broken, "the request could not be written as JSON"))?;
        self.body = Some(Bytes::from_owner(text));
        Ok(self)
    }

    /// Sends it and reads the JSON answer.
    ///
    /// # Errors
    /// What the server refused, or why it was not reached.
    pub async fn answer<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let server = origin(&self.url);
        let text = read(&server, self.sent(Some(PATIENCE)).await?).await?;
        serde_json::from_slice(&text).map_err(|_| foreign(&server))
    }

    /// Sends it; what is answered besides success does not matter.
    ///
    /// # Errors
    /// As [`Call::answer`].
    pub async fn done(self) -> Result<(), Failure> {
        self.sent(Some(PATIENCE)).await.map(drop)
    }

    /// Sends it and hands the answer out as it comes, however long that takes.
    ///
    /// # Errors
    /// As [`Call::answer`].
    pub async fn stream(self) -> Result<Stream, Failure> {
        let server = origin(&self.url);
        Ok(Stream { response: self.sent(None).await?, server })
    }

    async fn sent(self, patience: Option<Duration>) -> Result<Response, Failure> {
        let server = origin(&self.url);
        let mut request = self.http.request(self.method, self.url);
        if let Some(version) = self.if_version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        if let Some(body) = self.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        if let Some(patience) = patience {
            request = request.timeout(patience);
        }
        accepted(&server, request.send().await.map_err(|error| unreached(&server, &error))?).await
    }
}

/// An answer that comes piece by piece.
#[derive(Debug)]
pub struct Stream {
    server: String,
    response: Response,
}

impl Stream {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        self.response.chunk().await.map_err(|error| unreached(&self.server, &error))
    }
}

fn bearer(config: &ClientConfig) -> Result<HeaderValue, Failure> {
    let text = Zeroizing::new(format!("Bearer {}", config.credential.expose().trim()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Failure::usage("the credential holds characters that no credential has").hint("check MESHAGENT_API_KEY")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Appends segments, each escaped as one, whatever it holds.
fn extend(url: &mut Url, segments: &[&str]) {
    // An http URL always has a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// JSON in one buffer of just its size, so that no half-grown copy is left behind.
fn wiped_json<T: Serialize>(body: &T) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, body)?;
    let mut text = Zeroizing::new(Vec::with_capacity(count.0));
    serde_json::to_writer(&mut *text, body)?;
    Ok(text)
}

/// The body of an answer; it may hold a key that is shown once.
async fn read(server: &str, mut response: Response) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut text = Zeroizing::new(Vec::new());
    while let Some(piece) = response.chunk().await.map_err(|error| unreached(server, &error))? {
        if text.len() + piece.len() > MAX_ANSWER {
            return Err(Failure::new(Exit::Broken, format!("{server} answers more than a client can hold")));
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

async fn accepted(server: &str, response: Response) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = read(server, response).await?;
    let Ok(ErrorBody { error }) = serde_json::from_slice(&text) else {
        let kind = kind_of(status.as_u16());
        return Err(Failure::new(kind.into(), format!("{server} answers {status}, and not as meshkeep does"))
            .hint("check the address, and what stands in between"));
    };
    let kind = kind_of(status.as_u16());
    let refusal = Refusal::new(kind, &error.code, error.message).hint(error.hint);
    let failure = Failure::refusal(kind.into(), refusal);
    Err(if failure.exit() == Exit::Broken {
        failure.hint(format!("the server's log says more under request {}", error.request_id))
    } else {
        failure
    })
}

fn foreign(server: &str) -> Failure {
    Failure::new(Exit::Broken, format!("the answer of {server} is not one that this program knows"))
        .hint("is it a meshkeep server, and of the same release?")
}

fn unreached(server: &str, error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::new(Exit::Unavailable, format!("{server} did not answer in time"))
            .hint("its log says what it waits for");
    }
    let what = if error.is_connect() { "cannot be reached" } else { "broke the connection" };
    Failure::new(Exit::Unavailable, format!("{server} {what}: {}", cause(error)))
        .hint("is `meshkeep serve` running, and is MESHAGENT_API_URL its address?")
}

/// The innermost reason; the outer ones repeat the address.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
