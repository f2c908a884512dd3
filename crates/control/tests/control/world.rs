//! One harness: a project with its keys, a registry, and the operations over them, which can be stopped and started.

use std::{sync::Arc, time::Duration};

use meshkeep_control::{Caller, Control, Origin, Parts, RollingPace, Running, Scope};
use meshkeep_core::{
    Refusal, SecretText,
    access::{Grant, Role},
    api_key::ApiKeyText,
    clock::SystemClock,
    id::{ProjectId, SecretId, ServiceId, SessionId},
    service::ServiceSpec,
    wire,
};
use meshkeep_engine::{Limits, testing::FakeEngine};
use meshkeep_image::{Images, ImagesConfig};
use meshkeep_seal::{Keyring, RootKey};
use meshkeep_store::{NewApiKey, Store, StoreOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::registry::Registry;

/// How long anything may take here before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub project: ProjectId,
    pub store: Store,
    pub engine: Arc<FakeEngine>,
    pub registry: Registry,
    pub control: Control,
    pub admin: Caller,
    running: Running,
    images: Images,
    _dir: TempDir,
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::new(RootKey::generate());
        let options =
            StoreOptions { dir: dir.path().join("data"), keyring, anchor: None, clock: Arc::new(SystemClock) };
        let store = Store::create(options).await.unwrap();
        let mut tx = store.write("test").await.unwrap();
        let project = tx.create_project("acme").await.unwrap().id;
        tx.commit().await.unwrap();
        let registry = Registry::start().await;
        let config = ImagesConfig { registries: registry.settings(), ..ImagesConfig::new(dir.path().join("images")) };
        let images = Images::open(config).await.unwrap();
        let engine = Arc::new(FakeEngine::default());
        let (control, running) = start(&store, &images, &engine).await;
        let admin = by_key(&store, &control, project, Role::Admin, true).await;
        Self { project, store, engine, registry, control, admin, running, images, _dir: dir }
    }

    /// A caller with a key of its own.
    pub async fn caller(&self, role: Role, bind: bool) -> Caller {
        by_key(&self.store, &self.control, self.project, role, bind).await
    }

    /// Ends the server; what the engine has lives on.
    pub async fn stop(self) -> Stopped {
        self.running.stop().await;
        let Self { project, store, engine, registry, admin, images, _dir, .. } = self;
        Stopped { project, store, engine, registry, admin, images, dir: _dir }
    }

    /// Stops the server and starts it again.
    pub async fn restarted(self) -> Self {
        self.stop().await.start().await
    }

    pub async fn end(self) {
        self.running.stop().await;
        self.store.close().await;
    }

    pub async fn secret(&self, name: &str, data: Value) -> SecretId {
        self.control.create_secret(&self.admin, self.project, write(name, "keys", data)).await.unwrap().id
    }

    pub async fn save_secret(&self, id: SecretId, name: &str, data: Value) -> wire::SecretSaved {
        self.control.save_secret(&self.admin, self.project, id, write(name, "keys", data), None).await.unwrap()
    }

    /// A pull secret for the registry.
    pub async fn pull_secret(&self, password: &str) -> SecretId {
        let server = format!("http://{}/v2/", self.registry.host());
        let data = json!({"server": server, "username": "robot", "password": password, "email": "x"});
        let write = write("acme-priv-registry", "docker", data);
        self.control.create_secret(&self.admin, self.project, write).await.unwrap().id
    }

    /// The pull secret of what the registry has below `others`.
    pub async fn pull_secret_of_others(&self) -> SecretId {
        let server = format!("http://{}/others/", self.registry.host());
        let data = json!({"server": server, "username": "other", "password": "battery-staple"});
        self.control.create_secret(&self.admin, self.project, write("others", "docker", data)).await.unwrap().id
    }

    /// A project service of the public image, with these members under `container`.
    pub async fn service(&self, name: &str, container: Value) -> ServiceId {
        self.service_of(self.spec(name, container)).await
    }

    pub async fn service_of(&self, spec: ServiceSpec) -> ServiceId {
        let made = self.control.create_service(&self.admin, self.project, Scope::Project, spec).await.unwrap();
        made.id.unwrap().parse().unwrap()
    }

    pub fn spec(&self, name: &str, container: Value) -> ServiceSpec {
        let mut spec = json!({
            "version": "v1", "kind": "Service", "metadata": {"name": name},
            "container": {"image": self.registry.public()},
        });
        for (member, value) in container.as_object().into_iter().flatten() {
            spec["container"][member] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    /// Launches the session of the room `lobby`, which is made when it is not there.
    pub async fn launch(&self) -> wire::Session {
        self.try_launch().await.unwrap()
    }

    pub async fn try_launch(&self) -> Result<wire::Session, Refusal> {
        let room = wire::RoomCreate { name: "lobby".to_owned(), if_not_exists: true, ..Default::default() };
        self.control.create_room(&self.admin, self.project, room).await?;
        Ok(self.control.launch_session(&self.admin, self.project, "lobby".parse().unwrap()).await?.0)
    }

    pub async fn terminate(&self, session: SessionId) {
        self.control.terminate_session(&self.admin, self.project, session).await.unwrap();
    }

    pub async fn restart(&self, session: SessionId, service: ServiceId) -> Result<(), Refusal> {
        self.control.restart_service(&self.admin, self.project, session, service).await
    }

    pub async fn session(&self, id: SessionId) -> wire::Session {
        self.control.session(&self.admin, self.project, id).await.unwrap()
    }

    /// Waits until a session is shown so.
    pub async fn until(&self, id: SessionId, is_so: impl Fn(&wire::Session) -> bool) -> wire::Session {
        let mut changes = self.control.changes();
        let waited = async {
            loop {
                changes.mark_unchanged();
                let session = self.session(id).await;
                if is_so(&session) {
                    return session;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, waited).await {
            Ok(session) => session,
            Err(_) => panic!("it did not become so: {:#?}", self.session(id).await),
        }
    }

    /// Waits until a service of a session is in this state.
    pub async fn until_state(&self, id: SessionId, service: &str, state: &str) -> wire::Workload {
        let session = self.until(id, |session| of(session, service).state == state).await;
        of(&session, service).clone()
    }

    /// Waits until the session's events hold one of this kind.
    pub async fn event(&self, id: SessionId, kind: &str) -> Value {
        let mut changes = self.control.changes();
        let waited = async {
            loop {
                changes.mark_unchanged();
                let events = self.control.session_events(&self.admin, self.project, id).await.unwrap().events;
                if let Some(event) = events.into_iter().find(|event| event.kind == kind) {
                    return event.data;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("there is no event {kind}"))
    }

    /// What is recorded of a session's first workload.
    pub async fn recorded(&self, id: SessionId) -> meshkeep_store::Workload {
        let mut tx = self.store.read("test").await.unwrap();
        tx.workloads(self.project, id).await.unwrap().remove(0)
    }
}

/// A world whose server does not run.
pub struct Stopped {
    pub project: ProjectId,
    pub store: Store,
    pub engine: Arc<FakeEngine>,
    pub registry: Registry,
    admin: Caller,
    images: Images,
    dir: TempDir,
}

impl Stopped {
    /// The host was switched off and on: nothing runs any more.
    pub fn rebooted(self) -> Self {
        Self { engine: Arc::new(FakeEngine::default()), ..self }
    }

    pub async fn start(self) -> World {
        let (control, running) = start(&self.store, &self.images, &self.engine).await;
        let Self { project, store, engine, registry, admin, images, dir } = self;
        World { project, store, engine, registry, control, admin, running, images, _dir: dir }
    }
}

async fn start(store: &Store, images: &Images, engine: &Arc<FakeEngine>) -> (Control, Running) {
    Control::start(Parts {
        store: store.clone(),
        images: images.clone(),
        engine: engine.clone(),
        clock: Arc::new(SystemClock),
        public_url: "http://127.0.0.1:4680".to_owned(),
        service_url: "http://meshkeep:4680".to_owned(),
        limits: Limits::default(),
        keep_versions: 20,
        keep_deleted_days: 30,
        rolling: RollingPace { ready_within: Duration::from_secs(2), settled: Duration::from_millis(50) },
        session_grace: Duration::from_millis(300),
    })
    .await
    .unwrap()
}

async fn by_key(store: &Store, control: &Control, project: ProjectId, role: Role, bind: bool) -> Caller {
    let key = make_key(store, project, role, bind).await;
    control.authenticate(Some(key.format().expose()), Origin::default()).await.unwrap()
}

pub async fn make_key(store: &Store, project: ProjectId, role: Role, bind: bool) -> ApiKeyText {
    let secret = SecretText::new(format!("secret-of-a-{role}-{bind}"));
    let mut tx = store.write("test").await.unwrap();
    let new = NewApiKey {
        name: role.as_str(),
        description: "",
        grant: Grant { role, bind },
        service: None,
        secret: &secret,
        by: "test",
    };
    let key = tx.create_api_key(project, new).await.unwrap();
    tx.commit().await.unwrap();
    ApiKeyText { id: key.id, project, secret }
}

pub fn write(name: &str, kind: &str, data: Value) -> wire::SecretWrite {
    serde_json::from_value(json!({"name": name, "type": kind, "data": data})).unwrap()
}

/// The workload of a service.
pub fn of<'a>(session: &'a wire::Session, service: &str) -> &'a wire::Workload {
    let mut workloads = session.workloads.as_ref().unwrap().iter();
    workloads.find(|workload| workload.service_name == service).unwrap()
}

pub fn code(workload: &wire::Workload) -> &str {
    &workload.reason.as_ref().unwrap().code
}
