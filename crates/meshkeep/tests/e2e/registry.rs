//! Debian's docker-registry on a free loopback port, with one user.

use std::{fs, net::TcpListener, process::Command};

use rustix::process::Signal;
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
    _dir: TempDir,
}

impl Registry {
    /// Started, with `acme/weather:1.0` in it.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let host = free_address();
        let user = run(Command::new("htpasswd").args(["-inB", "-C", "5", USER]), PASSWORD);
        assert!(user.status.success(), "htpasswd: {}", text(&user.stderr));
        let path = |name: &str| dir.path().join(name).display().to_string();
        fs::write(path("htpasswd"), user.stdout).expect("the place can be written");
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
        let registry = Self { host, program: Running::start(&mut serve), _dir: dir };
        eventually("the registry's start", || {
            std::net::TcpStream::connect(&registry.host)
                .map_err(|error| format!("{error}; {}", registry.program.said()))
        });
        registry.push();
        registry
    }

    /// The image's reference.
    pub fn image(&self) -> String {
        format!("{}/acme/weather:1.0", self.host)
    }

    fn push(&self) {
        let image = image::made();
        let mut push = Command::new(image::repository().join("scripts/lib/push-image"));
        push.arg(format!("http://{}", self.host)).args(["acme/weather", "1.0"]);
        push.arg(image.join("config.json")).arg(image.join("layer.tar.gz"));
        let output = run(&mut push, &format!("{USER}:{PASSWORD}\n"));
        assert!(output.status.success(), "push-image: {}", text(&output.stderr));
    }

    /// Ends it early.
    pub fn end(&mut self) {
        self.program.end(Signal::TERM);
    }
}

/// An address on which nothing listens.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    listener.local_addr().expect("it is bound").to_string()
}
