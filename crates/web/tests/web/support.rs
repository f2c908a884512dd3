//! One harness: the real router over the real operations and a real database file; the engine alone is a fake.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::Body};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use meshkeep_control::{Control, Parts, Running};
use meshkeep_core::{
    SecretText,
    access::{Grant, Role},
    api_key::ApiKeyText,
    clock::SystemClock,
    id::ProjectId,
};
use meshkeep_engine::{Limits, testing::FakeEngine};
use meshkeep_image::{Images, ImagesConfig};
use meshkeep_seal::{Keyring, RootKey};
use meshkeep_store::{NewApiKey, Store, StoreOptions};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Nobody,
    Garbage,
    /// An admin of another project.
    Stranger,
    Member,
    DeveloperWithoutBind,
    Developer,
    Admin,
}

impl Who {
    pub const ALL: [Self; 7] = [
        Self::Nobody,
        Self::Garbage,
        Self::Stranger,
        Self::Member,
        Self::DeveloperWithoutBind,
        Self::Developer,
        Self::Admin,
    ];

    /// What the credential is worth within the project, when it is one of the project.
    pub fn grant(self) -> Option<Grant> {
        let grant = |role, bind| Some(Grant { role, bind });
        match self {
            Self::Nobody | Self::Garbage | Self::Stranger => None,
            Self::Member => grant(Role::Member, false),
            Self::DeveloperWithoutBind => grant(Role::Developer, false),
            Self::Developer => grant(Role::Developer, true),
            Self::Admin => grant(Role::Admin, true),
        }
    }
}

/// A server with two projects and a key for everybody.
pub struct App {
    router: Router,
    pub project: ProjectId,
    pub other_project: ProjectId,
    pub store: Store,
    keys: BTreeMap<Who, SecretText>,
    running: Running,
    _dir: TempDir,
}

/// An image that no registry here has: nothing of these tests leaves the machine.
pub const IMAGE: &str = "127.0.0.1:1/acme/weather:1";

impl App {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let keyring = Keyring::new(RootKey::generate());
        let store =
            Store::create(StoreOptions { dir: dir.path().join("data"), keyring, anchor: None, clock: clock.clone() })
                .await
                .unwrap();
        let mut tx = store.write("test").await.unwrap();
        let project = tx.create_project("acme").await.unwrap().id;
        let other_project = tx.create_project("other").await.unwrap().id;
        let mut keys = BTreeMap::new();
        for who in Who::ALL {
            let (project, grant) = match who {
                Who::Nobody | Who::Garbage => continue,
                Who::Stranger => (other_project, Grant { role: Role::Admin, bind: true }),
                who => (project, who.grant().unwrap()),
            };
            let secret = SecretText::new(format!("secret-of-{who:?}-0123456789"));
            let name = format!("{who:?}");
            let new = NewApiKey { name: &name, description: "", grant, service: None, secret: &secret, by: "test" };
            let key = tx.create_api_key(project, new).await.unwrap();
            keys.insert(who, ApiKeyText { id: key.id, project, secret }.format());
        }
        tx.commit().await.unwrap();
        keys.insert(Who::Garbage, SecretText::from("ma-garbage"));
        let images = Images::open(ImagesConfig::new(dir.path().join("images"))).await.unwrap();
        let engine = Arc::new(FakeEngine::default());
        let public_url = "http://127.0.0.1:4680".to_owned();
        let service_url = "http://meshkeep:4680".to_owned();
        let limits = Limits::default();
        let parts = Parts {
            store: store.clone(),
            images,
            engine,
            clock,
            public_url,
            service_url,
            limits,
            keep_versions: 20,
            keep_deleted_days: 30,
            rolling: meshkeep_control::RollingPace::default(),
            session_grace: std::time::Duration::from_secs(30),
        };
        let (control, running) = Control::start(parts).await.unwrap();
        let router = meshkeep_web::router(control, meshkeep_web::Settings::default());
        Self { router, project, other_project, store, keys, running, _dir: dir }
    }

    /// Ends what runs behind the router.
    pub async fn end(self) {
        self.running.stop().await;
        self.store.close().await;
    }

    /// The whole key of somebody.
    pub fn key(&self, who: Who) -> Option<&str> {
        self.keys.get(&who).map(SecretText::expose)
    }

    /// A path within the project.
    pub fn path(&self, rest: &str) -> String {
        format!("/accounts/projects/{}{rest}", self.project)
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body).unwrap() }
    }

    /// An answer that goes on.
    pub async fn open(&self, request: Request<Body>) -> http::Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// What begins to come back: of an answer that goes on, no more than that.
    pub async fn head(&self, request: Request<Body>) -> Reply {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let goes_on = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        let body = if goes_on { Vec::new() } else { body.collect().await.unwrap().to_bytes().to_vec() };
        Reply { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body).unwrap() }
    }

    pub fn request(&self, who: Who, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        match self.key(who) {
            Some(key) => request.header(header::AUTHORIZATION, format!("Bearer {key}")),
            None => request,
        }
    }

    /// A call on a whole path.
    pub async fn call(&self, who: Who, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        self.send(self.request(who, method, path).body(body.into()).unwrap()).await
    }

    /// An admin's call within the project.
    pub async fn admin(&self, method: &str, rest: &str, body: Value) -> Reply {
        let body = if body.is_null() { Body::empty() } else { body.to_string().into() };
        self.call(Who::Admin, method, &self.path(rest), body).await
    }

    /// Makes something and answers its id.
    pub async fn made(&self, rest: &str, body: Value) -> String {
        let reply = self.admin("POST", rest, body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    pub async fn secret(&self, name: &str, data: Value) -> String {
        self.made("/secrets", serde_json::json!({"name": name, "type": "keys", "data": data})).await
    }

    pub async fn pull_secret(&self, name: &str) -> String {
        let data =
            serde_json::json!({"server": "127.0.0.1:1", "username": "u", "password": "p4ssword-x", "email": "e"});
        self.made("/secrets", serde_json::json!({"name": name, "type": "docker", "data": data})).await
    }
}

/// A manifest with these members under `container`.
pub fn manifest(name: &str, container: Value) -> Value {
    let mut spec = serde_json::json!({
        "version": "v1", "kind": "Service", "metadata": {"name": name}, "container": {"image": IMAGE},
    });
    for (member, value) in container.as_object().into_iter().flatten() {
        spec["container"][member] = value.clone();
    }
    spec
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// It is a refusal of the one shape, with this status, and its message or hint has all words.
    #[track_caller]
    pub fn refused(&self, status: u16, words: &[&str]) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        let json = self.json();
        let members: Vec<_> = json["error"].as_object().expect(&self.body).keys().map(String::as_str).collect();
        assert_eq!(members, ["code", "hint", "message", "request_id"]);
        assert_eq!(self.headers["x-request-id"], json["error"]["request_id"].as_str().unwrap());
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        for word in words {
            assert!(self.body.contains(word), "`{word}` is not in: {}", self.body);
        }
        json["error"]["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}
