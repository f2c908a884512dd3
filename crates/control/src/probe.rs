//! Plain requests to a service: whether a liveness path answers, and calls of endpoints.
//!
//! One request over plain TCP to an address that the engine gave to a workload, of which only the status line is read:
//! nothing that a service answers leads anywhere else, and none of it is kept.

use std::{io, net::Ipv4Addr, time::Duration};

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

/// How long a called endpoint may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes up to the end of the status code, in `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

impl Probe {
    /// Whether the path answers 200 now.
    pub(crate) async fn answers(&self, address: Ipv4Addr) -> bool {
        let Self { port, path } = self;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nUser-Agent: meshkeep-liveness\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        );
        matches!(timeout(TIMEOUT, status(address, *port, request.as_bytes())).await, Ok(Ok(200)))
    }
}

/// Posts JSON to a path of a service; the status that it answers.
///
/// # Errors
/// When nobody answers in time, or not in HTTP.
pub(crate) async fn post(address: Ipv4Addr, port: u16, path: &str, body: &[u8]) -> io::Result<u16> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}:{port}\r\nUser-Agent: meshkeep\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // It holds a token, on its way to the service that it is for.
    let request = zeroize::Zeroizing::new([head.as_bytes(), body].concat());
    timeout(CALL_TIMEOUT, status(address, port, &request))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn status(address: Ipv4Addr, port: u16, request: &[u8]) -> io::Result<u16> {
    let mut stream = TcpStream::connect((address, port)).await?;
    stream.write_all(request).await?;
    let mut line = [0; STATUS_BYTES];
    stream.read_exact(&mut line).await?;
    let code = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "));
    let code = code.and_then(|code| str::from_utf8(code).ok()?.parse().ok());
    code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
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
