//! The built program without any of this process's environment, and a server that answers what a test says.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output, Stdio},
    thread::JoinHandle,
};

use serde_json::Value;

pub const KEY: &str = "ma-qqqqqru7TMyN3e7u7u7u7g-ERERESIiQzOERFVVVVVVVQ-s3cr3t-of-a-key";
pub const PROJECT: &str = "/accounts/projects/11111111-2222-4333-8444-555555555555";
pub const ID: &str = "0198c2f4-7b1e-7c3a-9d55-2f6f0a1b2c3d";

/// The program with nothing but these arguments.
pub fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshkeep"));
    command.env_clear().args(arguments);
    command
}

/// Runs a command to its end with this on standard input.
pub fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the built program starts");
    // A program that does not read its input closes it.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    child.wait_with_output().expect("a child can be waited for")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One line on standard error that has all `words`, with this exit code, and nothing on standard output.
#[track_caller]
pub fn one_line(output: &Output, code: i32, words: &[&str]) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.starts_with("meshkeep: "), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    said
}

/// What the program sent.
#[derive(Debug)]
pub struct Sent {
    /// Method and path with its query.
    pub line: String,
    /// Header lines, as they came.
    pub headers: String,
    /// The JSON body, or null.
    pub body: Value,
}

/// A server for as many requests as it has answers, each `(status, body)`.
pub struct Fake {
    pub url: String,
    serving: JoinHandle<Vec<Sent>>,
}

impl Fake {
    pub fn new(answers: Vec<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let serving = std::thread::spawn(move || {
            answers.into_iter().map(|(status, body)| serve_one(&listener, status, &body)).collect()
        });
        Self { url, serving }
    }

    /// The program with this server in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        self.environment(&mut command);
        command
    }

    /// Names this server to a command.
    pub fn environment(&self, command: &mut Command) {
        command.env("MESHAGENT_API_URL", &self.url).env("MESHAGENT_API_KEY", KEY);
    }

    /// What came, once all answers were given.
    pub fn sent(self) -> Vec<Sent> {
        self.serving.join().expect("the fake server does not panic")
    }
}

fn serve_one(listener: &TcpListener, status: u16, answer: &Value) -> Sent {
    let (stream, _) = listener.accept().expect("a connection comes");
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a head comes") > 0, "cut short: {head}");
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    reader.read_exact(&mut body).expect("a whole body comes");
    let text = if answer.is_null() { String::new() } else { answer.to_string() };
    let reply = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    reader.into_inner().write_all(reply.as_bytes()).expect("the client reads");
    let (line, headers) = head.split_once("\r\n").expect("a head has a first line");
    Sent {
        line: line.trim_end_matches(" HTTP/1.1").to_owned(),
        headers: headers.to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}
