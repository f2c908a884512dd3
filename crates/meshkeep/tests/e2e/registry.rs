//! Debian's docker-registry on a free loopback port, with one user.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    process::Command,
};

use rustix::{
    net::{AddressFamily, SocketType, bind, getsockname, socket},
    process::Signal,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    image,
    process::{Running, eventually, run, text},
};

pub const USER: &str = "acme-robot";
pub const PASSWORD: &str = "pull-password-0f3a9c";

pub struct Registry {
    /// `127.0.0.1:PORT`
    pub host: String,
    program: Running,
    dir: TempDir,
}

impl Registry {
    /// Started, with `acme/weather:1.0` in it.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let user = run(Command::new("htpasswd").args(["-inB", "-C", "5", USER]), PASSWORD);
        assert!(user.status.success(), "htpasswd: {}", text(&user.stderr));
        fs::write(dir.path().join("htpasswd"), user.stdout).expect("the place can be written");
        // The port is free when it is chosen; another program may be faster.
        let (host, program) = (0..5).find_map(|_| start(dir.path())).expect("the registry finds a port");
        let registry = Self { host, program, dir };
        let image = image::made();
        registry.push("1.0", &image.join("config.json"), "");
        registry
    }

    /// The image's reference.
    pub fn image(&self) -> String {
        format!("{}/acme/weather:1.0", self.host)
    }

    /// The same layer with more said of it: members of the image's `config`, and annotations of its manifest. Answers the
    /// reference.
    pub fn push_with(&self, tag: &str, members: &Value, annotations: &Value) -> String {
        let text = fs::read(image::made().join("config.json")).expect("it was made");
        let mut config: Value = serde_json::from_slice(&text).expect("it is JSON");
        let own = config["config"].as_object_mut().expect("an object");
        own.extend(members.as_object().expect("an object").clone());
        let path = self.dir.path().join("config.json");
        fs::write(&path, config.to_string()).expect("the place can be written");
        self.push(tag, &path, &annotations.to_string());
        format!("{}/acme/weather:{tag}", self.host)
    }

    fn push(&self, tag: &str, config: &Path, annotations: &str) {
        let layer = image::made().join("layer.tar.gz");
        let mut push = Command::new(image::repository().join("scripts/lib/push-image"));
        push.arg(format!("http://{}", self.host)).args(["acme/weather", tag]);
        push.arg(config).arg(layer).env("ANNOTATIONS", annotations);
        let output = run(&mut push, &format!("{USER}:{PASSWORD}\n"));
        assert!(output.status.success(), "push-image: {}", text(&output.stderr));
    }

    /// Lets another user in, besides the one that all tests know.
    pub fn add_user(&self, user: &str, password: &str) {
        let line = run(Command::new("htpasswd").args(["-inB", "-C", "5", user]), password);
        assert!(line.status.success(), "htpasswd: {}", text(&line.stderr));
        let users = fs::OpenOptions::new().append(true).open(self.dir.path().join("htpasswd"));
        users.and_then(|mut users| users.write_all(&line.stdout)).expect("the place can be written");
    }

    /// Ends it early.
    pub fn end(&mut self) {
        self.program.end(Signal::TERM);
    }
}

/// On a port that is free now; none when it was not any more.
fn start(dir: &Path) -> Option<(String, Running)> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let host = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    let path = |name: &str| dir.join(name).display().to_string();
    let settings = format!(
        "version: 0.1\nlog: {{ level: warn, accesslog: {{ disabled: true }} }}\n\
         storage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: \"{host}\", secret: not-used }}\n\
         auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n",
        path("data"),
        path("htpasswd")
    );
    fs::write(path("config.yml"), settings).expect("the place can be written");
    let mut serve = Command::new("docker-registry");
    serve.env("OTEL_TRACES_EXPORTER", "none").arg("serve").arg(path("config.yml"));
    let mut program = Running::start(&mut serve);
    let listens = eventually("the registry's start", || {
        let connected = TcpStream::connect(&host);
        match (program.is_alive(), connected) {
            (false, _) => Ok(false),
            (true, Ok(_)) => Ok(true),
            (true, Err(error)) => Err(format!("{error}; {}", program.said())),
        }
    });
    listens.then_some((host, program))
}

/// An address that is taken, and on which nobody listens, while this lives.
pub struct Nobody {
    pub address: String,
    _socket: OwnedFd,
}

impl Nobody {
    pub fn new() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket can be made");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        bind(&socket, &any).expect("loopback has a port");
        let bound = SocketAddr::try_from(getsockname(&socket).expect("it is bound")).expect("of the internet");
        Self { address: bound.to_string(), _socket: socket }
    }
}
