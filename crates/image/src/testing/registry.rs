//! Debian's `docker-registry` on loopback, with a password, behind a proxy that remembers each request.

use std::{collections::BTreeMap, fs, process::Stdio, sync::Arc};

use futures_util::TryStreamExt as _;
use http::{Method, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use meshkeep_core::secret::PullCredential;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

use super::{
    parts::{ImageParts, digest},
    server::{Answer, Seen, Server, answer},
};
use crate::{
    image::Digest,
    settings::{HostSettings, RegistrySettings},
};

/// How a registry is started.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// User name and password that it asks for; open to everyone when `None`.
    pub login: Option<(String, String)>,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self { login: Some(("robot".to_owned(), "correct horse: battery $staple\"".to_owned())) }
    }
}

/// A running registry. Dropping it ends the process and removes its storage.
pub struct TestRegistry {
    login: Option<(String, String)>,
    backend: String,
    proxy: Server,
    client: reqwest::Client,
    _process: Child,
    _reader: JoinHandle<()>,
    _storage: TempDir,
}

impl TestRegistry {
    /// Starts `docker-registry` with an empty storage of its own.
    ///
    /// # Panics
    /// When it cannot be started (Debian package `docker-registry`, and `apache2-utils` for `htpasswd`).
    pub async fn start(options: RegistryOptions) -> Self {
        let storage = tempfile::tempdir().expect("a temporary directory can be made");
        let config = storage.path().join("config.yml");
        fs::write(&config, configuration(&storage, options.login.as_ref()).await)
            .expect("the configuration can be written");
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("docker-registry is installed");
        let mut lines = BufReader::new(process.stderr.take().expect("piped above")).lines();
        let backend = loop {
            let line = lines.next_line().await.expect("its log is text").expect("docker-registry runs");
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split(['"', ' ', ',']).next().unwrap_or_default().to_owned();
            }
        };
        let reader = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = client();
        let proxy = Server::start({
            let (client, backend) = (client.clone(), Arc::new(backend.clone()));
            move |seen| forward(client.clone(), Arc::clone(&backend), seen)
        })
        .await;
        let login = options.login;
        Self { login, backend, proxy, client, _process: process, _reader: reader, _storage: storage }
    }

    /// `127.0.0.1:port` of the proxy that remembers requests.
    #[must_use]
    pub fn host(&self) -> String {
        self.proxy.host()
    }

    /// `127.0.0.1:port` of the registry itself: faster, and not remembered.
    #[must_use]
    pub fn direct_host(&self) -> &str {
        &self.backend
    }

    /// Settings that mark both hosts insecure.
    ///
    /// # Panics
    /// Never: its hosts are well formed.
    #[must_use]
    pub fn settings(&self) -> RegistrySettings {
        let section = HostSettings { insecure: true, ..HostSettings::default() };
        let hosts = [self.host(), self.backend.clone()].map(|host| (host.parse().expect("a host"), section.clone()));
        RegistrySettings { hosts: BTreeMap::from(hosts), ..RegistrySettings::default() }
    }

    /// The credential that it accepts.
    ///
    /// # Panics
    /// When it was started without one.
    #[must_use]
    pub fn credential(&self) -> PullCredential {
        let (username, password) = self.login.as_ref().expect("it asks for a password");
        PullCredential {
            server: format!("http://{}", self.host()),
            username: username.as_str().into(),
            password: password.as_str().into(),
        }
    }

    /// What was asked of [`TestRegistry::host`].
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.proxy.seen()
    }

    /// `METHOD path` of each request.
    #[must_use]
    pub fn request_lines(&self) -> Vec<String> {
        self.proxy.lines()
    }

    /// Starts counting requests anew.
    pub fn forget_requests(&self) {
        self.proxy.forget();
    }

    /// Pushes an image of gzipped `layers` (tars) and answers its manifest's digest. See [`ImageParts::new`].
    pub async fn push_image(&self, repository: &str, tag: &str, layers: &[Vec<u8>], overrides: &Value) -> Digest {
        self.push_parts(repository, tag, &ImageParts::new(layers, overrides)).await
    }

    /// Pushes an image made before.
    pub async fn push_parts(&self, repository: &str, tag: &str, parts: &ImageParts) -> Digest {
        for blob in parts.blobs.iter().chain([&parts.config]) {
            self.push_blob(repository, blob).await;
        }
        self.push_manifest(repository, tag, ImageParts::MEDIA_TYPE, &parts.manifest).await
    }

    /// Pushes one blob.
    ///
    /// # Panics
    /// When the registry does not take it.
    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = digest(bytes);
        let start = self.request(Method::POST, &format!("/v2/{repository}/blobs/uploads/")).send().await;
        let start = start.expect("the registry answers");
        assert_eq!(start.status(), StatusCode::ACCEPTED);
        let location = start.headers()[header::LOCATION].to_str().expect("a location is text").to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        let upload = self.request(Method::PUT, &format!("{location}{separator}digest={digest}"));
        let stored = upload.body(bytes.to_vec()).send().await.expect("the registry answers");
        assert_eq!(stored.status(), StatusCode::CREATED);
        digest
    }

    /// Pushes a manifest or a list.
    ///
    /// # Panics
    /// When the registry does not take it.
    pub async fn push_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let request = self.request(Method::PUT, &format!("/v2/{repository}/manifests/{tag}"));
        let sent = request.header(header::CONTENT_TYPE, media_type).body(bytes.to_vec()).send().await;
        assert_eq!(sent.expect("the registry answers").status(), StatusCode::CREATED);
        digest(bytes)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.backend));
        match &self.login {
            Some((username, password)) => request.basic_auth(username, Some(password)),
            None => request,
        }
    }
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    crate::registry::install_tls();
    builder.tls_certs_only([]).build().expect("a client without TLS can be built")
}

async fn configuration(storage: &TempDir, login: Option<&(String, String)>) -> String {
    let path = storage.path().display();
    let mut text = format!(
        "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {path}/data}}\n\
         http: {{addr: '127.0.0.1:0', relativeurls: true}}\n"
    );
    if let Some((username, password)) = login {
        let mut made = Command::new("htpasswd");
        made.args(["-niB", "-C", "4", username]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut made = made.stderr(Stdio::null()).spawn().expect("htpasswd is installed");
        let mut stdin = made.stdin.take().expect("piped above");
        tokio::io::AsyncWriteExt::write_all(&mut stdin, password.as_bytes()).await.expect("htpasswd reads");
        drop(stdin);
        let line = made.wait_with_output().await.expect("htpasswd ends").stdout;
        fs::write(storage.path().join("htpasswd"), line).expect("the password file can be written");
        text.push_str(&format!("auth:\n  htpasswd: {{realm: test, path: {path}/htpasswd}}\n"));
    }
    text
}

async fn forward(client: reqwest::Client, backend: Arc<String>, seen: Seen) -> Answer {
    let mut headers = seen.headers.clone();
    headers.remove(header::HOST);
    let request =
        client.request(seen.method, format!("http://{backend}{}", seen.path)).headers(headers).body(seen.body);
    let Ok(response) = request.send().await else { return answer(502, &[], "") };
    let (status, headers) = (response.status(), response.headers().clone());
    let frames = response.bytes_stream().map_ok(Frame::data).map_err(std::io::Error::other);
    let mut answer = Answer::new(http_body_util::BodyExt::boxed(StreamBody::new(frames)));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}
