//! A scripted http server on loopback that remembers what it was asked: the attacker's side of a test.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
}

impl Seen {
    /// The `Authorization` header.
    #[must_use]
    pub fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").and_then(|value| value.to_str().ok())
    }

    /// `METHOD path`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What a script answers.
pub type Answer = Response<BoxBody<Bytes, io::Error>>;

/// A body of these bytes.
#[must_use]
pub fn body(bytes: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// An answer of these headers and bytes.
#[must_use]
pub fn answer(status: u16, headers: &[(&str, &str)], bytes: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body(bytes));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a test's status");
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a test's header");
        answer.headers_mut().append(name, value.parse().expect("a test's header"));
    }
    answer
}

/// A server; stops when dropped.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves plain http; `script` answers each request.
    pub async fn start<S, F>(script: S) -> Self
    where
        S: Fn(Seen) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::start_with(|stream| async { Some(stream) }, script).await
    }

    /// Serves on what `accept` makes of a connection, such as TLS.
    pub async fn start_with<A, G, T, S, F>(accept: A, script: S) -> Self
    where
        A: Fn(TcpStream) -> G + Send + Sync + 'static,
        G: Future<Output = Option<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Fn(Seen) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let (script, log, count) = (Arc::new(script), Arc::clone(&seen), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            // Aborted with this task: connections do not outlive their server.
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (accepted, script, log) = (accept(stream), Arc::clone(&script), Arc::clone(&log));
                open.spawn(async move {
                    if let Some(stream) = accepted.await {
                        serve(stream, script, log).await;
                    }
                });
            }
        });
        Self { address, seen, connections, task }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// All requests since the start or the last [`Server::forget`].
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no script panics within").clone()
    }

    /// `METHOD path` of each request.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    /// Starts counting anew.
    pub fn forget(&self) {
        self.seen.lock().expect("no script panics within").clear();
    }

    /// Connections since the start.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve<T, S, F>(stream: T, script: Arc<S>, log: Arc<Mutex<Vec<Seen>>>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Seen) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (script, log) = (Arc::clone(&script), Arc::clone(&log));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let path = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
            let seen = Seen { method: head.method, path, headers: head.headers, body };
            log.lock().expect("no script panics within").push(seen.clone());
            Ok::<_, Infallible>(script(seen).await)
        }
    });
    // A client that goes away is no failure of the server.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}
