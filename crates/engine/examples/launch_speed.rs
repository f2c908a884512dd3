//! How long a start takes, image present: until the engine says that the process runs, and until its first line is in
//! the log. As root: `cargo run --release -p meshkeep-engine --example launch_speed -- [STARTS] [AT_ONCE]`.

use std::{
    error::Error,
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::try_join_all};
use meshkeep_core::{
    Refusal,
    environment::Environment,
    id::{ServiceId, SessionId, WorkloadId},
};
use meshkeep_engine::{Deliver, EmbeddedConfig, EmbeddedEngine, Engine, Limits, Peer, Workload};
use meshkeep_image::{Digest, Image, ImageConfig, Layer};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Nothing;

#[async_trait]
impl Deliver for Nothing {
    async fn environment(&self) -> std::result::Result<Environment, Refusal> {
        Ok(Environment::default())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "runtime-child") {
        return meshkeep_engine::runtime_child();
    }
    let number = |at: usize, otherwise: u8| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(measure(number(1, 40), number(2, 1)))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(starts: u8, at_once: u8) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let layer = layer(dir.path())?;
    let config = EmbeddedConfig { root: dir.path().join("engine"), ..EmbeddedConfig::default() };
    let engine = EmbeddedEngine::open(config).await?;
    let session = SessionId::from_uuid(Uuid::new_v4());
    let (mut running, mut first_line) = (Vec::new(), Vec::new());
    for _ in 0..starts {
        let together: Vec<_> = (0..at_once).map(|place| workload(session, place, &layer)).collect();
        for (one, other) in try_join_all(together.iter().map(|workload| start(&engine, workload))).await? {
            running.push(one);
            first_line.push(other);
        }
        for workload in &together {
            engine.stop(workload.id, Duration::ZERO).await?;
            engine.remove(workload.id).await?;
        }
    }
    engine.remove_session(session).await?;
    println!("{} starts, {at_once} at once", running.len());
    report("running", &mut running);
    report("first line", &mut first_line);
    Ok(())
}

async fn start(engine: &EmbeddedEngine, workload: &Workload) -> Result<(Duration, Duration)> {
    let began = Instant::now();
    engine.ensure(workload, &Nothing).await?;
    let running = began.elapsed();
    let mut log = engine.logs(workload.id, None, true).await?;
    log.next().await.ok_or("no line")??;
    Ok((running, began.elapsed()))
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!("{what:>12}: median {:6.1} ms, 10 % {:6.1} ms, 90 % {:6.1} ms", at(50), at(10), at(90));
}

fn workload(session: SessionId, place: u8, layer: &Layer) -> Workload {
    let name = format!("speed-{place}");
    Workload {
        id: WorkloadId::from_uuid(Uuid::new_v4()),
        session,
        service: ServiceId::from_uuid(Uuid::new_v4()),
        service_name: name.parse().expect("a name"),
        attempt: 0,
        image: Image {
            reference: "speed".into(),
            digest: Digest::from_bytes([0; 32]),
            config: ImageConfig::default(),
            layers: vec![layer.clone()],
        },
        command: Some(["/bin/sh", "-c", "echo up; exec sleep 1000"].map(str::to_owned).to_vec()),
        working_dir: None,
        writable_root: false,
        mounts: Vec::new(),
        capabilities: Vec::new(),
        limits: Limits::default(),
        peers: vec![Peer { name: name.parse().expect("a name"), place }],
        secrets: Vec::new(),
    }
}

fn layer(dir: &Path) -> Result<Layer> {
    let (tree, path) = (dir.join("tree"), dir.join("layer.erofs"));
    fs::create_dir_all(tree.join("bin"))?;
    fs::copy("/usr/bin/busybox", tree.join("bin/busybox"))?;
    for name in ["sh", "sleep"] {
        symlink("busybox", tree.join("bin").join(name))?;
    }
    let made = Command::new("mkfs.erofs").arg("--quiet").args([&path, &tree]).status()?;
    if !made.success() {
        return Err("mkfs.erofs failed".into());
    }
    Ok(Layer { diff_id: Digest::from_bytes([0; 32]), path })
}
