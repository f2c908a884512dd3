//! The embedded engine: containers of this very host, one supervisor process each, no daemon and no runtime beside us.
//!
//! ```text
//! server (this process)                       supervisor (`runtime-child`)             container
//!   ensure ── record, network, socket ──┐
//!   deliver ── launch, environment ─────┴──►  harden, layers, own root, network
//!                                             libcontainer, executor ────────────────►  execve
//!   observe, changes ◄── status ───────────   poll: output → redactor → log; exit
//!   stop ── command ───────────────────────►  stop signal, grace, SIGKILL
//! ```
//!
//! `start` makes a supervisor, `link` is the server's side of one, `adopt` finds those of the server before, `logs` reads
//! what they wrote, `files` is a workload's directory, `cgroups` and `ids` are what is released in the end. `child` is all
//! that runs in the other process. What must stay true: a supervisor never needs the server; whatever is killed when, the
//! next open finds or removes what is there.

mod adopt;
mod cgroups;
mod child;
mod config;
mod examine;
mod exec;
mod files;
mod host;
mod ids;
mod launch;
mod link;
mod logs;
pub mod net;
mod program;
mod proto;
mod slot;
mod start;
mod storage;
#[expect(unsafe_code, reason = "system calls without a safe wrapper; all of the crate's unsafe code is in this file")]
mod sys;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use meshkeep_core::{
    Refusal, RefusalKind,
    id::{SessionId, WorkloadId},
};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use child::runtime_child;
pub use config::{EmbeddedConfig, OpenError};
pub use examine::{HostCheck, examine_host};

use self::{
    cgroups::Hierarchies,
    files::Lasting,
    ids::Ranges,
    net::{FirewallGuard, Networks},
    program::Program,
    proto::{Command, State},
    slot::Slot,
};
use crate::{
    Deliver, Engine, EngineError, ExecRequest, ExecSession, LogStream, Observed, Peer, StorageId, Workload,
    engine::broken,
};

/// The grace that a start gives to the one it replaces.
const REPLACED_GRACE: Duration = Duration::from_secs(10);

/// How much longer than its grace a stop may take: the kernel has to take a killed container apart.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Runs workloads on this host. With its last clone go the tasks that watch supervisors; the workloads stay.
#[derive(Clone)]
pub struct EmbeddedEngine(Arc<Inner>, #[expect(dead_code, reason = "dropped with the last clone")] Arc<DropGuard>);

struct Inner {
    config: EmbeddedConfig,
    networks: Arc<Networks>,
    hierarchies: Hierarchies,
    cgroup_parent: String,
    boot_id: String,
    program: Program,
    ranges: Mutex<Ranges>,
    slots: Mutex<BTreeMap<WorkloadId, Arc<Slot>>>,
    changes: watch::Sender<u64>,
    closing: CancellationToken,
}

impl EmbeddedEngine {
    /// Checks the host, takes over what an earlier engine left in the same directory, cleans up what is dead.
    ///
    /// # Errors
    /// What the host lacks, or a directory that cannot be used.
    pub async fn open(config: EmbeddedConfig) -> Result<Self, OpenError> {
        let hierarchies = Hierarchies::find().map_err(|source| OpenError::Io {
            what: "cannot read",
            path: PathBuf::from("/proc/self/mountinfo"),
            source,
        })?;
        host::check(&hierarchies)?;
        if config.first_id.checked_add(3 * ids::RANGE).is_none() || config.first_id < ids::RANGE {
            return Err(OpenError::FirstId(config.first_id));
        }
        let root = config.make_dirs()?;
        let boot_id = host::boot_id().map_err(|source| OpenError::Io {
            what: "cannot read",
            path: PathBuf::from("/proc/sys/kernel/random/boot_id"),
            source,
        })?;
        let program = Program::open(&config.child_program).map_err(|source| OpenError::Io {
            what: "cannot hold the program",
            path: config.child_program.clone(),
            source,
        })?;
        let (dir, entrances) = (root.join("networks"), config.entrances.clone());
        let networks = Networks::open(dir, config.subnet_pool, entrances).map_err(OpenError::Network)?;
        let networks = Arc::new(networks);
        let guard = FirewallGuard::new().map_err(OpenError::Network)?;
        let inner = Arc::new(Inner {
            networks,
            hierarchies,
            cgroup_parent: format!("/meshkeep-{:08x}", short_hash(root.as_os_str().as_encoded_bytes())),
            boot_id,
            program,
            ranges: Mutex::new(Ranges::new(config.first_id + ids::RANGE)),
            slots: Mutex::default(),
            changes: watch::Sender::new(0),
            closing: CancellationToken::new(),
            config: EmbeddedConfig { root, ..config },
        });
        let open = Arc::new(inner.closing.clone().drop_guard());
        let kept = guard.keep(Arc::clone(&inner.networks));
        tokio::spawn(inner.closing.clone().run_until_cancelled_owned(kept));
        launch::check_name_servers();
        adopt::adopt(&inner).await?;
        Ok(Self(inner, open))
    }
}

#[async_trait]
impl Engine for EmbeddedEngine {
    async fn observe(&self) -> Result<Vec<Observed>, EngineError> {
        Ok(self.0.slots().values().filter_map(|slot| slot.seen()).map(|seen| seen.observed()).collect())
    }

    async fn ensure(&self, workload: &Workload, deliver: &dyn Deliver) -> Result<(), EngineError> {
        let slot = self.0.slots().entry(workload.id).or_insert_with(|| Arc::new(Slot::new(None))).clone();
        let _gate = slot.gate.lock().await;
        if let Some(seen) = slot.seen() {
            // A start that ended is not repeated; one that did not come to be, or was lost, is.
            let over = seen.is_over();
            let repeat = over && matches!(seen.state, State::Failed { .. });
            if workload.attempt < seen.record.attempt || (workload.attempt == seen.record.attempt && !repeat) {
                return Ok(());
            }
            if !over {
                self.0.stop(&slot, REPLACED_GRACE).await?;
            }
        }
        let started = start::start(&self.0, &slot, workload, deliver).await;
        if slot.seen().is_none() {
            // Refused before anything was recorded.
            self.0.slots().remove(&workload.id);
        }
        started
    }

    async fn name_peers(&self, session: SessionId, peers: &[Peer]) -> Result<(), EngineError> {
        let inner = self.0.clone();
        let network = tokio::task::spawn_blocking(move || inner.networks.session(session));
        let Some(network) = network.await.map_err(broken("looking for the session's network"))? else { return Ok(()) };
        let hosts = launch::hosts(peers, &network);
        for slot in self.0.slots().values() {
            let knows = slot.seen().is_some_and(|seen| {
                seen.record.session == session && !seen.is_over() && seen.version >= proto::KNOWS_PEERS
            });
            if knows {
                // One that is on its way to its end needs to know nothing more.
                slot.ask(Command::Peers { hosts: hosts.clone() });
            }
        }
        Ok(())
    }

    async fn stop(&self, id: WorkloadId, grace: Duration) -> Result<(), EngineError> {
        let slot = self.0.slot(id)?;
        // A stop cuts a grace short that another caller gave: it must not wait for that one's turn.
        self.0.ask_to_stop(&slot, grace);
        let _gate = slot.gate.lock().await;
        let Some(seen) = slot.seen() else { return Err(EngineError::NotFound(id)) };
        self.0.note_stopped(&slot, seen.record.id);
        self.0.stop(&slot, grace).await
    }

    async fn remove(&self, id: WorkloadId) -> Result<(), EngineError> {
        let slot = self.0.slot(id)?;
        let _gate = slot.gate.lock().await;
        let Some(seen) = slot.seen() else { return Err(EngineError::NotFound(id)) };
        if !seen.is_over() {
            let message = format!("the workload {id} still runs");
            return Err(EngineError::Rejected(
                Refusal::new(RefusalKind::Conflict, "still_running", message).hint("stop it first"),
            ));
        }
        let (inner, record) = (self.0.clone(), seen.record);
        tokio::task::spawn_blocking(move || {
            inner.hierarchies.destroy(&inner.cgroup(record.id))?;
            fs::remove_dir_all(inner.workload_dir(record.id))?;
            inner.ranges().release(record.id_base);
            let mut slots = inner.slots();
            slots.remove(&record.id);
            if slots.is_empty() {
                inner.hierarchies.remove_empty(&inner.cgroup_parent);
            }
            Ok(())
        })
        .await
        .map_err(broken("removing a workload"))?
        .map_err(|error: std::io::Error| broken("removing a workload")(error))?;
        slot.update(|seen| seen.removed = true);
        self.0.changed();
        Ok(())
    }

    async fn remove_storage(&self, storage: StorageId) -> Result<(), EngineError> {
        let path = storage::path(&self.0.storage_dir(), storage);
        tokio::task::spawn_blocking(move || match fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
        .map_err(broken("removing a directory of the storage"))?
        .map_err(broken("removing a directory of the storage"))
    }

    async fn remove_session(&self, id: SessionId) -> Result<(), EngineError> {
        let used = self.0.slots().values().filter_map(|slot| slot.seen()).any(|seen| seen.record.session == id);
        if used {
            let message = format!("the session {id} still has workloads");
            return Err(EngineError::Rejected(
                Refusal::new(RefusalKind::Conflict, "still_running", message).hint("remove them first"),
            ));
        }
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || inner.networks.remove_session(id))
            .await
            .map_err(broken("removing the session's network"))?
            .map_err(broken("removing the session's network"))
    }

    async fn logs(&self, id: WorkloadId, tail: Option<usize>, follow: bool) -> Result<LogStream, EngineError> {
        let slot = self.0.slot(id)?;
        logs::read(self.0.workload_dir(id), slot.watch(), tail, follow).map_err(|error| match error.kind() {
            // Its start is not recorded yet, or its removal is under way: there is no directory.
            std::io::ErrorKind::NotFound => EngineError::NotFound(id),
            _ => broken("reading a log")(error),
        })
    }

    async fn exec(&self, id: WorkloadId, request: ExecRequest) -> Result<ExecSession, EngineError> {
        let slot = self.0.slot(id)?;
        exec::exec(&self.0, &slot, id, request).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.networks.close() {
            tracing::warn!(%error, "the firewall of the sessions could not be removed");
        }
    }
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<WorkloadId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ranges(&self) -> MutexGuard<'_, Ranges> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, id: WorkloadId) -> Result<Arc<Slot>, EngineError> {
        self.slots().get(&id).cloned().ok_or(EngineError::NotFound(id))
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn workloads_dir(&self) -> PathBuf {
        self.config.root.join("workloads")
    }

    fn workload_dir(&self, id: WorkloadId) -> PathBuf {
        self.workloads_dir().join(id.to_string())
    }

    fn stage_dir(&self) -> PathBuf {
        self.config.root.join("stage")
    }

    fn storage_dir(&self) -> PathBuf {
        self.config.root.join("storage")
    }

    fn cgroup(&self, id: WorkloadId) -> String {
        format!("{}/{id}", self.cgroup_parent)
    }

    fn ask_to_stop(&self, slot: &Slot, grace: Duration) -> bool {
        slot.ask(Command::Stop { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) })
    }

    /// Remembers, over restarts of the server too, that this workload shall not come back. A full disk stops no stop:
    /// only a follower of the log that connects after a restart of the server would wait in vain.
    fn note_stopped(&self, slot: &Slot, id: WorkloadId) {
        slot.update(|seen| seen.record.stopped = true);
        let Some(seen) = slot.seen() else { return };
        let noted = files::open_dir(&self.workload_dir(id))
            .and_then(|dir| files::write_record(dir, files::RECORD, &seen.record, Lasting::ThisBoot));
        if let Err(error) = noted {
            tracing::warn!(workload = %id, %error, "a stop could not be recorded");
        }
    }

    /// Stops what runs and returns when nothing of it is left. The caller holds the slot's gate.
    async fn stop(&self, slot: &Slot, grace: Duration) -> Result<(), EngineError> {
        let mut seen = slot.watch();
        let over = |seen: &Option<slot::Seen>| seen.as_ref().is_none_or(slot::Seen::is_over);
        if over(&seen.borrow()) {
            return Ok(());
        }
        self.ask_to_stop(slot, grace);
        let in_time = tokio::time::timeout(grace.saturating_add(KILL_PATIENCE), seen.wait_for(over)).await;
        match in_time {
            Ok(_) => Ok(()),
            Err(_) => {
                let message = "the workload was killed, but the kernel has not ended it yet";
                Err(EngineError::Unavailable(
                    Refusal::new(RefusalKind::Unavailable, "not_ended", message)
                        .hint("a process may hang in the kernel, on a disk that does not answer"),
                ))
            }
        }
    }
}

/// Tells engines of one host apart in the names of cgroups: FNV-1a, the same in every release.
fn short_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
