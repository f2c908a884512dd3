//! Connections: accepting, TLS, time limits, a bound on their number, and an orderly end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{edge::Peer, tls::Tls};

/// What keeps one client, or many, from taking the server.
#[derive(Clone, Copy)]
struct Bounds {
    /// Connections at once. More wait in the kernel's queue until one ends.
    connections: usize,
    /// How long a client may take to send a request's head, and how long a connection may idle between requests.
    head: Duration,
    /// How long a TLS handshake may take.
    handshake: Duration,
    /// How long requests may take to end once the server stops.
    drain: Duration,
}

const BOUNDS: Bounds = Bounds {
    connections: 1024,
    head: Duration::from_secs(30),
    handshake: Duration::from_secs(10),
    drain: Duration::from_secs(5),
};

/// Wait after a failed accept (no file descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stopping` is cancelled, then lets requests end for up to five seconds.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, router: Router, stopping: CancellationToken) {
    Server { tls, router, stopping, bounds: BOUNDS }.run(listener).await;
}

#[derive(Clone)]
struct Server {
    tls: Option<Tls>,
    router: Router,
    stopping: CancellationToken,
    bounds: Bounds,
}

impl Server {
    async fn run(self, listener: TcpListener) {
        let connections = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(self.bounds.connections));
        while let Some((stream, peer, slot)) = next(&listener, &slots, &self.stopping).await {
            let server = self.clone();
            connections.spawn(async move {
                server.connection(stream, peer).await;
                drop(slot);
            });
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(self.bounds.drain, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "requests that did not end in time are cut off");
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr) {
        // Only delays small answers when it fails.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else { return self.http(stream, peer).await };
        match tokio::time::timeout(self.bounds.handshake, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream, peer).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn http<S>(self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.bounds.head)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// `None` when the server stops.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    stopping: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accept = async {
        // Nobody closes this semaphore.
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, slot)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        accepted = accept => accepted,
        () = stopping.cancelled() => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Notify,
    };

    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    /// A server with short bounds, and its address.
    async fn start(router: Router, bounds: Bounds) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let server = Server { tls: None, router, stopping: stopping.clone(), bounds };
        (address, stopping, tokio::spawn(server.run(listener)))
    }

    async fn connect(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    }

    fn hello() -> Router {
        Router::new().route("/", get(|| async { "hello" }))
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test]
    async fn a_head_that_never_ends_and_an_idle_connection_are_closed() {
        let (address, _stopping, _server) = start(hello(), Bounds { head: SHORT, ..BOUNDS }).await;
        let slow = rest(connect(address, "GET / HTTP/1.1\r\nx-slow: ").await).await;
        assert!(!slow.contains("hello"), "{slow}");
        let idle = rest(connect(address, REQUEST).await).await;
        assert!(idle.starts_with("HTTP/1.1 200") && idle.ends_with("hello"), "{idle}");
    }

    #[tokio::test]
    async fn connections_over_the_bound_wait_for_their_turn() {
        let (address, _stopping, _server) = start(hello(), Bounds { connections: 1, ..BOUNDS }).await;
        let first = connect(address, "GET /").await;
        let second =
            tokio::spawn(rest(connect(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await));
        tokio::time::timeout(SHORT, async {
            while !second.is_finished() {
                tokio::task::yield_now().await
            }
        })
        .await
        .expect_err("the second must wait while the first is there");
        drop(first);
        assert!(second.await.unwrap().ends_with("hello"));
    }

    #[tokio::test]
    async fn stopping_lets_a_request_end_and_closes_idle_connections() {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let router = {
            let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
            hello().route(
                "/slow",
                get(move || async move {
                    entered.notify_one();
                    leave.notified().await;
                    "done"
                }),
            )
        };
        let (address, stopping, server) = start(router, BOUNDS).await;
        let idle = connect(address, REQUEST).await;
        let slow = connect(address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        entered.notified().await;
        stopping.cancel();
        assert!(rest(idle).await.ends_with("hello"), "an idle connection is closed at once");
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        leave.notify_one();
        assert!(rest(slow).await.ends_with("done"));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn stopping_does_not_wait_for_ever() {
        let router = Router::new().route("/", get(|| async { std::future::pending::<()>().await }));
        let (address, stopping, server) = start(router, Bounds { drain: SHORT, ..BOUNDS }).await;
        let _stuck = connect(address, REQUEST).await;
        stopping.cancel();
        tokio::time::timeout(Duration::from_secs(5), server).await.expect("it must end").unwrap();
    }
}
