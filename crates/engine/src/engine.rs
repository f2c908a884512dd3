//! The engine's boundary: what a workload is, what is seen of it, and five calls that are each safe to repeat.

use std::{net::Ipv4Addr, time::Duration};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use meshkeep_core::{
    Refusal, RefusalKind, Timestamp,
    environment::Environment,
    id::{ProjectId, RoomId, ServiceId, SessionId, WorkloadId},
    name::ServiceName,
    secret::SecretRef,
};
use meshkeep_image::Image;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// One service's container in one session, as it shall run. Holds names and versions of secrets, never values.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its id; the same over all restarts.
    pub id: WorkloadId,
    /// The session it belongs to; workloads of one session share a network.
    pub session: SessionId,
    /// The service it runs.
    pub service: ServiceId,
    /// The service's name, its host name in lower case.
    pub service_name: ServiceName,
    /// Which start of this workload this is, from 0. `ensure` with a higher number than what runs replaces it.
    pub attempt: u32,
    /// The fetched image: layers that can be mounted, and its config.
    pub image: Image,
    /// The manifest's command, already split into words; the image's ENTRYPOINT and CMD when `None`.
    pub command: Option<Vec<String>>,
    /// The manifest's working directory; the image's when `None`.
    pub working_dir: Option<String>,
    /// Whether the root file system may be written.
    pub writable_root: bool,
    /// What is mounted beside the image.
    pub mounts: Vec<Mount>,
    /// Capabilities within its own user namespace, on top of none.
    pub capabilities: Vec<ExtraCapability>,
    /// Bounds.
    pub limits: Limits,
    /// Every service of the session with its place on the session's network, this one included.
    pub peers: Vec<Peer>,
    /// Which secrets the environment is made of, for the record.
    pub secrets: Vec<SecretRef>,
}

/// What a container has beside its image.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where: absolute, without `.`, `..` and doubled slashes.
    pub path: String,
    /// Whether it may only be read.
    pub read_only: bool,
    /// What.
    pub source: MountSource,
}

/// What is mounted.
#[derive(Clone, Debug)]
pub enum MountSource {
    /// An empty directory in memory, which is gone when the container ends.
    EmptyDir,
    /// A file of this text.
    File(String),
    /// A directory that stays until [`Engine::remove_storage`], made when it is first mounted.
    Stored {
        /// Which one; workloads that name the same one share it.
        storage: StorageId,
        /// Which part of it, relative; all when empty. Made when it is missing.
        subpath: String,
    },
    /// The files of another image.
    Image {
        /// Fetched, like the workload's own.
        image: Image,
        /// Which part of them, relative; all when empty.
        subpath: String,
    },
}

/// A directory that stays when containers end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageId {
    /// A room's.
    Room(ProjectId, RoomId),
    /// A project's.
    Project(ProjectId),
}

/// A service's place on its session's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name, under which the others reach it.
    pub name: ServiceName,
    /// Its place, from 0; fixed for the life of the session. The engine makes an address of it.
    pub place: u8,
}

/// Capabilities that the annotation `meshkeep.capabilities` may add, effective within the workload's user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExtraCapability {
    /// `CAP_CHOWN`
    Chown,
    /// `CAP_DAC_OVERRIDE`
    DacOverride,
    /// `CAP_FOWNER`
    Fowner,
    /// `CAP_SETUID`
    Setuid,
    /// `CAP_SETGID`
    Setgid,
}

/// Bounds of one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes, swap excluded (there is none).
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes of log kept on disk, over all rotated files.
    pub log_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 512 << 20, pids: 512, log_bytes: 16 << 20 }
    }
}

/// Opens the environment of one workload. Called only when a start really happens.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// The assembled environment, in plaintext; the engine hands it to the workload's supervisor and drops it.
    async fn environment(&self) -> Result<Environment, Refusal>;
}

/// What an engine sees of one workload.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Which workload.
    pub id: WorkloadId,
    /// Its session.
    pub session: SessionId,
    /// Which start.
    pub attempt: u32,
    /// What became of it.
    pub state: ObservedState,
    /// Its address on the session's network, reachable from the host for liveness probes and the proxy.
    pub address: Option<Ipv4Addr>,
    /// When the process started.
    pub started_at: Option<Timestamp>,
}

/// What became of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedState {
    /// On its way.
    Starting,
    /// The process runs.
    Running,
    /// The process ended.
    Exited {
        /// Exit status, or 128 + signal number.
        code: i32,
        /// When.
        at: Timestamp,
        /// What likely caused it, when the engine knows (out of memory, a missing capability); fit for people.
        hint: Option<String>,
    },
    /// The engine lost it or could not start it.
    Failed(Refusal),
}

/// A piece of a workload's log.
#[derive(Clone, Debug)]
pub struct LogChunk {
    /// Whole lines, with their line ends, standard output and standard error in the order they were written.
    pub bytes: Vec<u8>,
}

/// A log being read.
pub type LogStream = BoxStream<'static, Result<LogChunk, EngineError>>;

/// Another process in a running workload, with its environment, its user and its bounds.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The command in words.
    pub command: Vec<String>,
    /// Whether it gets a terminal of its own; output then comes as standard output alone.
    pub tty: bool,
}

/// What such a process can be told.
#[derive(Debug)]
pub enum ExecInput {
    /// Bytes for its standard input; may be a value, and are wiped when dropped.
    Stdin(Zeroizing<Vec<u8>>),
    /// The end of its standard input.
    CloseStdin,
    /// The size of its terminal.
    Resize {
        /// Characters in a line.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// SIGKILL.
    Kill,
}

/// What such a process says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecOutput {
    /// The command runs.
    Started,
    /// Of its standard output, or its terminal.
    Stdout(Vec<u8>),
    /// Of its standard error.
    Stderr(Vec<u8>),
    /// It ended: exit status, or 128 + signal number. Nothing comes after it.
    Exited(i32),
}

/// Such a process. Dropped, it is killed.
pub struct ExecSession {
    /// To it. Waits while it does not read.
    pub input: mpsc::Sender<ExecInput>,
    /// From it. While nobody reads, it waits.
    pub output: BoxStream<'static, Result<ExecOutput, EngineError>>,
}

/// Why an engine did not do something, by what can be done next.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No such workload here.
    #[error("the engine knows no workload {0}")]
    NotFound(WorkloadId),
    /// The user must change something.
    #[error("{0}")]
    Rejected(Refusal),
    /// Try again.
    #[error("{0}")]
    Unavailable(Refusal),
    /// Our bug, or a host that changed under us. `what` was being done when `source` happened.
    #[error("{what}: {source}")]
    Broken {
        /// What was being done.
        what: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EngineError {
    /// The same for people and for the record.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::NotFound(_) => Refusal::new(RefusalKind::NotFound, "not_found", self.to_string()),
            Self::Rejected(refusal) | Self::Unavailable(refusal) => refusal.clone(),
            Self::Broken { .. } => Refusal::new(RefusalKind::Broken, "engine_broken", self.to_string()),
        }
    }
}

/// Wraps what happened with what was being done.
pub(crate) fn broken<E>(what: &str) -> impl FnOnce(E) -> EngineError + use<'_, E>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| EngineError::Broken { what: what.to_owned(), source: source.into() }
}

/// Runs workloads somewhere. Every call is safe to repeat.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Everything this engine has, running or ended, until it is removed.
    async fn observe(&self) -> Result<Vec<Observed>, EngineError>;

    /// Makes the workload run: returns when its process was started or could not be. `deliver` is called only when a
    /// start really happens.
    async fn ensure(&self, workload: &Workload, deliver: &dyn Deliver) -> Result<(), EngineError>;

    /// Has every running workload of a session know these services by their names. One of an older release goes on with
    /// those that it was started with.
    async fn name_peers(&self, session: SessionId, peers: &[Peer]) -> Result<(), EngineError>;

    /// Sends the image's stop signal, waits up to `grace`, then kills. Returns when no process is left.
    async fn stop(&self, id: WorkloadId, grace: Duration) -> Result<(), EngineError>;

    /// Forgets a workload that does not run, with all it left on the host. Its log goes too.
    async fn remove(&self, id: WorkloadId) -> Result<(), EngineError>;

    /// Removes a stored directory with all that is in it; one that is not there is no error. Nothing that runs may have
    /// it.
    async fn remove_storage(&self, storage: StorageId) -> Result<(), EngineError>;

    /// Releases what a session's workloads shared (the network), once none is left.
    async fn remove_session(&self, id: SessionId) -> Result<(), EngineError>;

    /// The last `tail` lines (all when `None`), then, with `follow`, what comes until the workload ends for good.
    async fn logs(&self, id: WorkloadId, tail: Option<usize>, follow: bool) -> Result<LogStream, EngineError>;

    /// Runs another process in a workload. Its output is not redacted: who may ask for it may read the environment.
    async fn exec(&self, id: WorkloadId, request: ExecRequest) -> Result<ExecSession, EngineError>;

    /// Changes whenever [`Engine::observe`] would answer something new.
    fn changes(&self) -> tokio::sync::watch::Receiver<u64>;
}
