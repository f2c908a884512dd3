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
    (address, stopping, tokio::spawn(server.run(listener, mpsc::unbounded_channel().1)))
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
async fn a_sessions_entrance_is_served_until_it_closes_and_has_slots_of_its_own() {
    async fn who(axum::Extension(peer): axum::Extension<Peer>) -> String {
        format!("service {}", peer.is_service)
    }
    let listen = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        (listener.local_addr().unwrap(), listener)
    };
    let (main, main_listener) = listen();
    let ((one, first), (other, second)) = (listen(), listen());
    let (arrive, entrances) = mpsc::unbounded_channel();
    let (closed, stopping) = (CancellationToken::new(), CancellationToken::new());
    let bounds = Bounds { per_entrance: 1, ..BOUNDS };
    let server = Server { tls: None, router: Router::new().route("/", get(who)), stopping: stopping.clone(), bounds };
    let server = tokio::spawn(server.run(TcpListener::from_std(main_listener).unwrap(), entrances));
    arrive.send((first, closed.clone())).unwrap();
    arrive.send((second, CancellationToken::new())).unwrap();
    const ONCE: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(rest(connect(main, ONCE).await).await.ends_with("service false"));
    let mut held = connect(one, "GET / HTTP/1.1\r\nhost: x\r\n").await;
    let mut waiting = connect(one, ONCE).await;
    for address in [other, main] {
        assert!(rest(connect(address, ONCE).await).await.contains("service "), "a full entrance is its own matter");
    }
    let early = tokio::time::timeout(SHORT, waiting.read_u8()).await;
    assert!(early.is_err(), "a second connection at once");
    held.write_all(b"connection: close\r\n\r\n").await.unwrap();
    assert!(rest(held).await.ends_with("service true") && rest(waiting).await.ends_with("service true"));
    closed.cancel();
    while TcpStream::connect(one).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(rest(connect(other, ONCE).await).await.ends_with("service true"));
    stopping.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn connections_over_the_bound_wait_for_their_turn() {
    let (address, _stopping, _server) = start(hello(), Bounds { connections: 1, ..BOUNDS }).await;
    let first = connect(address, "GET /").await;
    let second = tokio::spawn(rest(connect(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await));
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
