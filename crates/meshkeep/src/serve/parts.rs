//! Opening what the server is made of, in an order in which a refusal has changed nothing yet.

use std::{fs::File, sync::Arc, time::Duration};

use meshkeep_control::{Control, Parts, RollingPace, Running};
use meshkeep_core::clock::SystemClock;
use meshkeep_engine::{EmbeddedEngine, Engine};
use meshkeep_image::{Images, ImagesConfig};
use meshkeep_store::{Store, StoreError, StoreOptions};
use meshkeep_web::Facts;
use rustix::fs::{FlockOperation, flock};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{DataDir, ServerConfig},
    failure::{Exit, Failure},
    studio_link::format_link,
};

/// The data directory is this process's alone while it lives.
///
/// # Errors
/// Not initialised, or in use.
pub fn lock(dir: &DataDir) -> Result<File, Failure> {
    let path = dir.path();
    if !dir.database().exists() {
        return Err(Failure::new(Exit::State, format!("there is no meshkeep database in {}", path.display()))
            .hint(format!("make it with `meshkeep init --data-dir {}`", path.display())));
    }
    let unreadable = |error: std::io::Error| {
        Failure::new(Exit::State, format!("{} cannot be opened: {error}", path.display()))
            .hint("it must belong to the user that runs the server")
    };
    let handle = File::open(path).map_err(unreadable)?;
    flock(&handle, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => {
            Failure::new(Exit::State, format!("another meshkeep serves {}", path.display()))
                .hint("end it first, or give another data directory")
        }
        error => unreadable(error.into()),
    })?;
    Ok(handle)
}

/// What runs.
pub(super) struct Opened {
    /// The operations.
    pub(super) control: Control,
    /// The reconciler.
    pub(super) running: Running,
    /// For closing it in the end.
    pub(super) store: Store,
}

/// Opens store, engine and images, and starts the reconciler.
///
/// # Errors
/// The first part that refuses.
pub(super) async fn open(config: &ServerConfig) -> Result<Opened, Failure> {
    let keyring = config.root_key.keyring()?;
    let clock = Arc::new(SystemClock);
    let anchor = Some(config.data_dir.anchor());
    let options = StoreOptions { dir: config.data_dir.path().to_owned(), keyring, anchor, clock: clock.clone() };
    let store = Store::open(options).await.map_err(|error| Failure::refusal(Exit::State, error.refusal()))?;
    match open_with(config, store.clone(), clock).await {
        Ok((control, running)) => Ok(Opened { control, running, store }),
        Err(failure) => {
            // Folds SQLite's log away again.
            store.close().await;
            Err(failure)
        }
    }
}

/// What Studio tells an admin of this server.
///
/// # Errors
/// When the store refuses.
pub(super) async fn facts(config: &ServerConfig, store: &Store) -> Result<Facts, Failure> {
    let rotated = async { store.read("facts").await?.root_key_rotated_at().await };
    let rotated = rotated.await.map_err(|error: StoreError| Failure::refusal(Exit::State, error.refusal()))?;
    Ok(Facts {
        version: env!("CARGO_PKG_VERSION"),
        engine: config.engine_kind.as_str(),
        data_dir: config.data_dir.path().display().to_string(),
        root_key_file: config.root_key.file.display().to_string(),
        root_key_id: store.root_key_id().to_string(),
        root_key_rotated_at: rotated,
    })
}

/// Writes down how far the database has come, at most once a second. The last time is when the store is closed.
pub(super) async fn keep_anchor(store: Store, stopping: CancellationToken) {
    let writing = async {
        loop {
            store.anchor_is_behind().await;
            if let Err(error) = store.write_anchor().await {
                tracing::error!(%error, "the anchor could not be written; an old database that is put back might not be noticed");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    stopping.run_until_cancelled(writing).await;
}

/// Notes where the server is reached, and makes the operator's first link when none was noted before.
///
/// # Errors
/// When the store refuses.
pub(super) async fn first_link(store: &Store, public_url: &str) -> Result<Option<String>, Failure> {
    let made = async {
        let mut tx = store.write("note the URL").await?;
        let token = if tx.note_public_url(public_url).await? { Some(tx.create_studio_link().await?) } else { None };
        tx.commit().await?;
        Ok::<_, StoreError>(token.map(|token| format_link(public_url, token.expose())))
    };
    made.await.map_err(|error| Failure::refusal(Exit::State, error.refusal()))
}

async fn open_with(
    config: &ServerConfig,
    store: Store,
    clock: Arc<SystemClock>,
) -> Result<(Control, Running), Failure> {
    let engine = engine(config).await?;
    let images = Images::open(ImagesConfig {
        registries: config.registries.clone(),
        disk_budget_bytes: config.image_disk_budget,
        ..ImagesConfig::new(config.data_dir.images())
    })
    .await
    .map_err(|error| Failure::refusal(Exit::Host, error.refusal()))?;
    let parts = Parts {
        store,
        images,
        engine,
        clock,
        public_url: config.public_url(),
        service_url: config.service_url(),
        limits: config.limits,
        keep_versions: config.keep_versions,
        keep_deleted_days: config.keep_deleted_days,
        rolling: RollingPace::default(),
        session_grace: config.session_grace,
    };
    Control::start(parts).await.map_err(|refusal| Failure::refusal(Exit::State, refusal))
}

async fn engine(config: &ServerConfig) -> Result<Arc<dyn Engine>, Failure> {
    let engine = EmbeddedEngine::open(config.engine.clone())
        .await
        .map_err(|error| Failure::new(Exit::Host, error.to_string()))?;
    Ok(Arc::new(engine))
}
