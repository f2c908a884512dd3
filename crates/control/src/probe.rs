//! Asks a service's liveness path whether the service is ready.
//!
//! One request over plain TCP to an address that the engine gave to a workload, of which only the status line is read:
//! nothing that a service answers leads anywhere else, and none of it is kept.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A path that must answer 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// The port within the container.
    pub(crate) port: u16,
    /// The path, beginning with `/`, without blanks.
    pub(crate) path: String,
}

/// How long one probe may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes up to the end of the status code, in `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

impl Probe {
    /// Whether the path answers 200 now.
    pub(crate) async fn answers(&self, address: Ipv4Addr) -> bool {
        matches!(timeout(TIMEOUT, self.status(address)).await, Ok(Ok(status)) if is_ok(status))
    }

    async fn status(&self, address: Ipv4Addr) -> std::io::Result<[u8; STATUS_BYTES]> {
        let Self { port, path } = self;
        let mut stream = TcpStream::connect((address, *port)).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nUser-Agent: meshkeep-liveness\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; STATUS_BYTES];
        stream.read_exact(&mut status).await?;
        Ok(status)
    }
}

fn is_ok(status: [u8; STATUS_BYTES]) -> bool {
    matches!(&status, b"HTTP/1.1 200" | b"HTTP/1.0 200")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn answers(reply: &'static [u8]) -> bool {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let probe = Probe { port: listener.local_addr().unwrap().port(), path: "/healthz?a=b".to_owned() };
        let service = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(reply).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let answer = probe.answers(Ipv4Addr::LOCALHOST).await;
        assert!(service.await.unwrap().starts_with("GET /healthz?a=b HTTP/1.1\r\nHost: 127.0.0.1:"));
        answer
    }

    #[tokio::test]
    async fn only_200_is_an_answer() {
        assert!(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await);
        assert!(answers(b"HTTP/1.0 200 OK\r\n\r\n").await);
        assert!(!answers(b"HTTP/1.1 204 No Content\r\n\r\n").await);
        assert!(!answers(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n").await);
        assert!(!answers(b"200 OK").await);
        assert!(!answers(b"").await);
    }

    #[tokio::test]
    async fn nobody_there_is_no_answer() {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
        assert!(!Probe { port, path: "/".to_owned() }.answers(Ipv4Addr::LOCALHOST).await);
    }
}
