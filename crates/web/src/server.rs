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
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{edge::Peer, tls::Tls};

/// Further listening sockets, one per session, at which nobody but its services connects; each until it is cancelled.
pub type Entrances = mpsc::UnboundedReceiver<(std::net::TcpListener, CancellationToken)>;

/// What keeps one client, or many, from taking the server.
#[derive(Clone, Copy)]
struct Bounds {
    /// Connections at once. More wait in the kernel's queue until one ends.
    connections: usize,
    /// The same for the services of one session; they take none of the others'.
    per_entrance: usize,
    /// How long a client may take to send a request's head, and how long a connection may idle between requests.
    head: Duration,
    /// How long a TLS handshake may take.
    handshake: Duration,
    /// How long requests may take to end once the server stops.
    drain: Duration,
}

const BOUNDS: Bounds = Bounds {
    connections: 1024,
    per_entrance: 32,
    head: Duration::from_secs(30),
    handshake: Duration::from_secs(10),
    drain: Duration::from_secs(5),
};

/// Wait after a failed accept (no file descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stopping` is cancelled, then lets requests end for up to five seconds.
pub async fn serve(
    listener: TcpListener,
    entrances: Entrances,
    tls: Option<Tls>,
    router: Router,
    stopping: CancellationToken,
) {
    Server { tls, router, stopping, bounds: BOUNDS }.run(listener, entrances).await;
}

#[derive(Clone)]
struct Server {
    tls: Option<Tls>,
    router: Router,
    stopping: CancellationToken,
    bounds: Bounds,
}

impl Server {
    async fn run(self, listener: TcpListener, entrances: Entrances) {
        let connections = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(self.bounds.connections));
        let main = self.clone().accept(listener, slots, false, connections.clone());
        tokio::join!(main, self.enter(entrances, &connections));
        connections.close();
        if tokio::time::timeout(self.bounds.drain, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "requests that did not end in time are cut off");
        }
    }

    /// Until the server stops.
    async fn accept(self, listener: TcpListener, slots: Arc<Semaphore>, is_service: bool, connections: TaskTracker) {
        while let Some((stream, address, slot)) = next(&listener, &slots, &self.stopping).await {
            let server = self.clone();
            connections.spawn(async move {
                server.connection(stream, Peer { address, is_service }).await;
                drop(slot);
            });
        }
    }

    /// Accepts at each entrance as well, until it closes.
    async fn enter(&self, mut entrances: Entrances, connections: &TaskTracker) {
        let mut arrival = async || {
            tokio::select! {
                arrival = entrances.recv() => arrival,
                () = self.stopping.cancelled() => None,
            }
        };
        while let Some((listener, closed)) = arrival().await {
            let slots = Arc::new(Semaphore::new(self.bounds.per_entrance));
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    let accepting = self.clone().accept(listener, slots, true, connections.clone());
                    connections.spawn(closed.run_until_cancelled_owned(accepting));
                }
                Err(error) => tracing::warn!(%error, "the services of a session cannot reach this server"),
            }
        }
    }

    async fn connection(self, stream: TcpStream, peer: Peer) {
        // Only delays small answers when it fails.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else { return self.http(stream, peer).await };
        match tokio::time::timeout(self.bounds.handshake, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream, peer).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn http<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
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
mod tests;
