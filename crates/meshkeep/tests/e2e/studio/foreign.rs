//! A page of another site, as an attacker lures somebody to it who is signed in. On loopback another port is another
//! origin of the same site, so that the cookie's `SameSite` alone holds nothing off.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

/// Answers every request with this, for as long as the test lives.
pub struct Foreign {
    /// `127.0.0.1:PORT`
    pub host: String,
}

impl Foreign {
    pub fn page(html: &str) -> Self {
        Self::answering(&format!(
            "200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n{html}",
            html.len()
        ))
    }

    /// With status, headers and body as given.
    pub fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let host = listener.local_addr().expect("it is bound").to_string();
        let answer = format!("HTTP/1.1 {answer}");
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(stream, &answer)));
        Self { host }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.host)
    }
}

fn serve(mut stream: TcpStream, answer: &str) {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(length @ 1..) => head.extend_from_slice(&chunk[..length]),
            _ => return,
        }
    }
    // Whoever asked may be gone.
    let _ = stream.write_all(answer.as_bytes());
}
