//! The server is killed at any moment: its threads end in the middle of what they do, the engine lives on. The next
//! start has everything that was answered, and the engine runs what the sessions say and nothing else.

use std::{path::Path, sync::Arc, time::Duration};

use meshkeep_control::{Caller, Control, Origin, Parts, Running, Scope};
use meshkeep_core::{access::Role, clock::SystemClock, id::SessionId, wire, workload::SessionState};
use meshkeep_engine::{Engine as _, Limits, testing::FakeEngine};
use meshkeep_image::{Images, ImagesConfig, RegistrySettings};
use meshkeep_seal::{Keyring, RootKey};
use meshkeep_store::{Store, StoreOptions};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{
    registry::Registry,
    world::{PATIENCE, make_key, write},
};

const ROUNDS: u64 = 25;

struct Place<'a> {
    dir: &'a Path,
    registries: RegistrySettings,
    engine: Arc<FakeEngine>,
}

impl Place<'_> {
    fn options(&self) -> StoreOptions {
        let keyring = Keyring::new(RootKey::load(&self.dir.join("key")).unwrap());
        StoreOptions { dir: self.dir.join("data"), keyring, anchor: None, clock: Arc::new(SystemClock) }
    }

    async fn start(&self) -> (Control, Running) {
        let store = Store::open(self.options()).await.unwrap();
        let config = ImagesConfig { registries: self.registries.clone(), ..ImagesConfig::new(self.dir.join("images")) };
        let images = Images::open(config).await.unwrap();
        let (engine, clock) = (self.engine.clone(), Arc::new(SystemClock));
        let public_url = "http://127.0.0.1:4680".to_owned();
        let service_url = "http://meshkeep:4680".to_owned();
        let limits = Limits::default();
        Control::start(Parts {
            store,
            images,
            engine,
            clock,
            public_url,
            service_url,
            limits,
            keep_versions: 20,
            keep_deleted_days: 30,
            rolling: meshkeep_control::RollingPace::default(),
            session_grace: Duration::from_secs(30),
        })
        .await
        .unwrap()
    }
}

/// Launches and ends sessions without a pause; sends what was answered.
async fn stir(control: Control, admin: Caller, answered: std::sync::mpsc::Sender<(SessionId, bool)>) {
    let project = admin.project();
    for n in 0.. {
        let room = format!("room-{}", n % 3);
        let Ok((session, _)) = control.launch_session(&admin, project, room.parse().unwrap()).await else { return };
        let _ = answered.send((session.id, true));
        let service = session.workloads.as_ref().unwrap()[0].service_id;
        let _ = control.restart_service(&admin, project, session.id, service).await;
        if n % 2 == 1 && control.terminate_session(&admin, project, session.id).await.is_ok() {
            let _ = answered.send((session.id, false));
        }
    }
}

/// Waits until every running session is ready, and the engine has their workloads and no others.
async fn settles(control: &Control, admin: &Caller, engine: &FakeEngine) {
    let (mut changes, mut engine_changes) = (control.changes(), engine.changes());
    loop {
        changes.mark_unchanged();
        engine_changes.mark_unchanged();
        let active = control.list_sessions(admin, admin.project(), true).await.unwrap().sessions;
        let ready = active.iter().filter(|session| session.state == SessionState::Ready).count();
        if ready == active.len() && engine.services().len() == active.len() * 2 {
            return;
        }
        tokio::select! {
            _ = changes.changed() => {}
            _ = engine_changes.changed() => {}
        }
    }
}

/// Waits until this process has no file of the directory open.
fn until_closed(dir: &Path) {
    let is_open = || {
        let handles = std::fs::read_dir("/proc/self/fd").unwrap();
        handles.filter_map(|handle| std::fs::read_link(handle.unwrap().path()).ok()).any(|path| path.starts_with(dir))
    };
    while is_open() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_server_that_is_killed_at_any_moment_loses_nothing_and_leaves_nothing() {
    let outside = Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    RootKey::generate().save_new(&dir.path().join("key"), None).unwrap();
    let registry = outside.block_on(Registry::start());
    let place = Place { dir: dir.path(), registries: registry.settings(), engine: Arc::new(FakeEngine::default()) };
    let key = outside.block_on(async {
        let store = Store::create(place.options()).await.unwrap();
        let mut tx = store.write("test").await.unwrap();
        let project = tx.create_project("acme").await.unwrap().id;
        tx.commit().await.unwrap();
        let key = make_key(&store, project, Role::Admin, true).await;
        store.close().await;
        key
    });
    let admin =
        async |control: &Control| control.authenticate(Some(key.format().expose()), Origin::default()).await.unwrap();
    outside.block_on(async {
        let (control, running) = place.start().await;
        let admin = admin(&control).await;
        let write = write("s", "keys", json!({"A": "a"}));
        let secret = control.create_secret(&admin, key.project, write).await.unwrap().id;
        for name in ["one", "two"] {
            let spec = json!({
                "version": "v1", "kind": "Service", "metadata": {"name": name},
                "container": {"image": registry.public(), "secrets": [secret]},
            });
            let spec = serde_json::from_value(spec).unwrap();
            control.create_service(&admin, key.project, Scope::Project, spec).await.unwrap();
        }
        for n in 0..3 {
            let room = wire::RoomCreate { name: format!("room-{n}"), ..Default::default() };
            control.create_room(&admin, key.project, room).await.unwrap();
        }
        running.stop().await;
    });
    let mut changed = 0;
    for round in 0..ROUNDS {
        // What ended in order closes its database in threads of its own.
        until_closed(&dir.path().join("data"));
        let (sender, answered) = std::sync::mpsc::channel();
        let server = Runtime::new().unwrap();
        server.block_on(async {
            let (control, _running) = place.start().await;
            let admin = admin(&control).await;
            tokio::spawn(stir(control, admin, sender));
            tokio::time::sleep(Duration::from_micros(round * 1_700)).await;
        });
        // Every task is dropped where it waits. Of a killed process no thread goes on, SQLite's neither.
        server.shutdown_timeout(PATIENCE);
        until_closed(&dir.path().join("data"));
        let answered: std::collections::BTreeMap<_, _> = answered.into_iter().collect();
        changed += answered.len();
        outside.block_on(async {
            let (control, running) = place.start().await;
            let admin = admin(&control).await;
            for (id, runs) in answered {
                let session = control.session(&admin, key.project, id).await.unwrap();
                assert!(runs || !session.is_active, "an end that was answered stays one");
            }
            let settled = settles(&control, &admin, &place.engine);
            let settled = tokio::time::timeout(PATIENCE, settled).await;
            assert!(settled.is_ok(), "round {round}: the engine has {:?}", place.engine.services());
            running.stop().await;
        });
    }
    assert!(changed > 25, "it was killed in the middle of work: {changed}");
}
