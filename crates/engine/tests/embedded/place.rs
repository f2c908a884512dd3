//! A place of its own for each test: an engine, small images made of busybox, workloads of one session, and the proof
//! that nothing is left in the end.

use std::{
    fs,
    os::unix::fs::symlink,
    panic::{AssertUnwindSafe, resume_unwind},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _};
use libtest_mimic::Trial;
use meshkeep_core::{
    Refusal,
    environment::{Environment, Origin, Variable},
    id::{ServiceId, SessionId, WorkloadId},
};
use meshkeep_engine::{
    Deliver, EmbeddedConfig, EmbeddedEngine, Engine, EngineError, Limits, Observed, ObservedState, Peer, Workload,
};
use meshkeep_image::{Digest, Image, ImageConfig, Layer};
use tempfile::TempDir;
use uuid::Uuid;

/// The longest that any step of a test may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A test that runs on a runtime of its own, in a place of its own, which is cleaned up also when the test fails.
pub fn trial<F>(name: &'static str, test: F) -> Trial
where
    F: AsyncFnOnce(&mut Place) + Send + 'static,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let mut place = Place::open().await;
            let failed = AssertUnwindSafe(test(&mut place)).catch_unwind().await;
            place.close().await;
            failed.unwrap_or_else(|panic| resume_unwind(panic));
        });
        Ok(())
    })
}

/// An engine in a temporary directory, and one session.
pub struct Place {
    /// Dropped after the engine, before the directory.
    pub kept: Vec<Box<dyn Send>>,
    dir: Option<TempDir>,
    pub config: EmbeddedConfig,
    pub engine: Opened,
    pub session: SessionId,
}

impl Place {
    pub async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self::at(dir.path().join("engine")).await;
        Self { dir: Some(dir), ..place }
    }

    /// An engine in this directory, which somebody else cleans up.
    pub async fn at(root: PathBuf) -> Self {
        let config = EmbeddedConfig { root, ..EmbeddedConfig::default() };
        let engine = Opened(Some(EmbeddedEngine::open(config.clone()).await.unwrap()));
        Self { kept: Vec::new(), dir: None, config, engine, session: SessionId::from_uuid(Uuid::new_v4()) }
    }

    /// Forgets the engine, as a server that is stopped does.
    pub fn closed(&mut self) {
        self.engine.0 = None;
    }

    /// Forgets the engine and opens it anew.
    pub async fn reopened(&mut self, config: EmbeddedConfig) {
        self.closed();
        self.engine.0 = Some(EmbeddedEngine::open(config.clone()).await.unwrap());
        self.config = config;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.as_ref().expect("the place has a directory").path().join(name)
    }

    /// A workload of busybox that runs `script` in a shell.
    pub fn shell(&self, name: &str, script: &str) -> Workload {
        self.workload(name, &["/bin/sh", "-c", script])
    }

    /// A workload of busybox that runs `command`.
    pub fn workload(&self, name: &str, command: &[&str]) -> Workload {
        let layer = self.layer("busybox", busybox);
        self.of_layer(name, command, layer.path)
    }

    /// A workload of one layer that exists.
    pub fn of_layer(&self, name: &str, command: &[&str], path: PathBuf) -> Workload {
        let layer = Layer { diff_id: Digest::from_bytes([7; 32]), path };
        Workload {
            id: WorkloadId::from_uuid(Uuid::new_v4()),
            session: self.session,
            service: ServiceId::from_uuid(Uuid::new_v4()),
            service_name: name.parse().unwrap(),
            attempt: 0,
            image: image(vec![layer]),
            command: Some(command.iter().map(|&word| word.to_owned()).collect()),
            working_dir: None,
            writable_root: false,
            mounts: Vec::new(),
            capabilities: Vec::new(),
            limits: Limits::default(),
            peers: vec![Peer { name: name.parse().unwrap(), place: 0 }],
            secrets: Vec::new(),
        }
    }

    /// An EROFS image of what `fill` puts into a directory; made once per place and name.
    pub fn layer(&self, name: &str, fill: impl FnOnce(&Path)) -> Layer {
        let path = self.path(&format!("{name}.erofs"));
        if !path.exists() {
            let tree = self.path(name);
            fs::create_dir(&tree).unwrap();
            fill(&tree);
            let made = Command::new("mkfs.erofs").arg("--quiet").arg(&path).arg(&tree).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        Layer { diff_id: Digest::from_bytes([7; 32]), path }
    }

    /// Starts it with these values.
    pub async fn start(&self, workload: &Workload, values: &[(&str, &str)]) -> Result<(), EngineError> {
        tokio::time::timeout(PATIENCE, self.engine.ensure(workload, &Values::new(values)))
            .await
            .expect("it starts in time")
    }

    /// What the engine sees of it.
    pub async fn observed(&self, workload: &Workload) -> Option<Observed> {
        self.engine.observe().await.unwrap().into_iter().find(|one| one.id == workload.id)
    }

    /// Waits for its end.
    pub async fn ended(&self, workload: &Workload) -> ObservedState {
        let mut changes = self.engine.changes();
        let end = async {
            loop {
                changes.mark_unchanged();
                let state = self.observed(workload).await.expect("it is known").state;
                if matches!(state, ObservedState::Exited { .. } | ObservedState::Failed(_)) {
                    return state;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("it ends in time")
    }

    /// Its exit code.
    pub async fn code(&self, workload: &Workload) -> i32 {
        match self.ended(workload).await {
            ObservedState::Exited { code, .. } => code,
            other => panic!("{other:?}"),
        }
    }

    /// Its whole log until now.
    pub async fn log(&self, workload: &Workload) -> String {
        let mut stream = self.engine.logs(workload.id, None, false).await.unwrap();
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            text.push_str(&String::from_utf8(chunk.unwrap().bytes).unwrap());
        }
        text
    }

    /// Runs it to its end and gives what it printed.
    pub async fn output(&self, workload: &Workload) -> String {
        self.start(workload, &[]).await.unwrap();
        self.ended(workload).await;
        self.log(workload).await
    }

    /// Reads its log until `wanted` stands there.
    pub async fn wait_for_line(&self, workload: &Workload, wanted: &str) {
        let reading = async {
            let mut stream = self.engine.logs(workload.id, None, true).await.unwrap();
            let mut text = String::new();
            while let Some(chunk) = stream.next().await {
                text.push_str(&String::from_utf8(chunk.unwrap().bytes).unwrap());
                if text.lines().any(|line| line == wanted) {
                    return;
                }
            }
            panic!("the log ended without {wanted:?}:\n{text}");
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the line comes in time");
    }

    /// Supervisors of this place's engine: processes that hold something in its directory open.
    pub fn supervisors(&self) -> Vec<i32> {
        let root = self.config.root.to_str().unwrap();
        let holds = |pid: &i32| {
            let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut targets = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
            targets.any(|target| target.to_string_lossy().contains(root))
        };
        let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        all.filter(|pid| *pid != std::process::id().cast_signed()).filter(holds).collect()
    }

    /// Waits until no process of this place is left.
    pub async fn nothing_runs(&self) {
        let gone = async {
            while !self.supervisors().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("no supervisor is left");
    }

    /// Ends everything and checks that nothing is left.
    pub async fn close(mut self) {
        if self.engine.0.is_none() {
            self.reopened(self.config.clone()).await;
        }
        for one in self.engine.observe().await.unwrap() {
            self.engine.stop(one.id, Duration::ZERO).await.unwrap();
            self.engine.remove(one.id).await.unwrap();
        }
        self.engine.remove_session(self.session).await.unwrap();
        self.nothing_runs().await;
        assert!(fs::read_dir(self.config.root.join("workloads")).unwrap().next().is_none());
        let root = self.config.root.to_string_lossy().into_owned();
        assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&root), "a mount is left");
    }
}

/// The engine, when it is not closed.
pub struct Opened(Option<EmbeddedEngine>);

impl std::ops::Deref for Opened {
    type Target = EmbeddedEngine;

    fn deref(&self) -> &EmbeddedEngine {
        self.0.as_ref().expect("the engine is open")
    }
}

/// An image of these layers that says nothing itself.
pub fn image(layers: Vec<Layer>) -> Image {
    let config = ImageConfig { env: vec![("PATH".into(), "/bin".into())], ..ImageConfig::default() };
    Image { reference: "registry.test/busybox:1".into(), digest: Digest::from_bytes([1; 32]), config, layers }
}

/// A root file system of one static program under all its names.
pub fn busybox(root: &Path) {
    for dir in ["bin", "etc"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in [
        "sh", "env", "cat", "echo", "sleep", "id", "ls", "stat", "touch", "mkdir", "mount", "nc", "wget", "httpd",
        "ping", "seq", "dd", "ip", "chown", "kill", "readlink", "printf", "od", "grep", "true", "wc", "sort", "find",
        "cut", "nproc", "hostname", "nslookup", "unshare", "tr", "head", "yes", "ln", "mkfifo", "chmod", "cp", "rm",
        "stty",
    ] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/srv:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\napp:x:1001:\nweb:x:33:app\n").unwrap();
}

/// Delivers fixed values, as entries of one bound secret key, and counts how often.
pub struct Values {
    environment: Environment,
    pub delivered: AtomicUsize,
}

impl Values {
    pub fn new(values: &[(&str, &str)]) -> Self {
        let secret = Origin::Secret("bound".parse().unwrap());
        let variable = |&(name, value): &(&str, &str)| Variable {
            name: name.parse().unwrap(),
            value: value.into(),
            origin: if name == "PATH" { Origin::Image } else { secret.clone() },
            hides: Vec::new(),
        };
        let variables = [("PATH", "/bin")].iter().chain(values).map(variable).collect();
        Self { environment: Environment(variables), delivered: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Deliver for Values {
    async fn environment(&self) -> Result<Environment, Refusal> {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        Ok(self.environment.clone())
    }
}
