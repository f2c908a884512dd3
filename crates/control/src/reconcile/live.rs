//! What the workloads of running sessions are doing right now, in memory.
//!
//! The store holds what must survive; this holds what is newer than the store's last write (a pull's progress, a state
//! that is on its way to disk) and is rebuilt from the store and the engine at every start.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use meshkeep_core::{
    Refusal, Timestamp,
    id::{ServiceId, SessionId, WorkloadId},
    wire,
    workload::WorkloadState,
};
use meshkeep_engine::Peer;
use meshkeep_image::{Digest, LayerProgress, Progress};
use meshkeep_store as store;
use tokio::sync::watch;

use super::{Fetched, Launch, Openings};

/// The newest word on one workload.
#[derive(Clone, Debug)]
pub(crate) struct LiveWorkload {
    /// Its session.
    session: SessionId,
    /// Its service.
    service: ServiceId,
    /// Somebody asked for it while its session ran.
    asked: bool,
    /// Its state.
    pub(crate) state: WorkloadState,
    /// Restarts after crashes.
    pub(crate) restarts: u32,
    /// Of the last exit.
    pub(crate) exit_code: Option<i32>,
    /// When its process last started.
    pub(crate) started_at: Option<Timestamp>,
    /// What was proven for it.
    pub(crate) image_digest: Option<Digest>,
    /// Which pull secrets it was proven with.
    pub(crate) opened: Openings,
    /// Layers, while pulling.
    pub(crate) progress: Vec<wire::LayerProgress>,
    /// When a crashed one is started again.
    pub(crate) restart_at: Option<Timestamp>,
    /// Why it last ended, while it waits for its restart.
    pub(crate) last_reason: Option<Refusal>,
}

impl LiveWorkload {
    /// What is recorded, for a workload of which nothing newer is known.
    pub(crate) fn recorded(workload: &store::Workload, state: WorkloadState) -> Self {
        let image = workload.image.as_deref().and_then(|text| serde_json::from_str::<Fetched>(text).ok());
        Self {
            session: workload.session,
            service: workload.service,
            asked: workload.asked.is_some(),
            state,
            restarts: workload.restarts,
            exit_code: workload.exit_code,
            started_at: workload.started_at,
            image_digest: image.as_ref().map(|fetched| fetched.image.digest.clone()),
            opened: image.map(|fetched| fetched.opened).unwrap_or_default(),
            progress: Vec::new(),
            restart_at: None,
            last_reason: None,
        }
    }
}

/// All of them. Cheap to clone; every clone is the same map.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    map: Arc<Mutex<HashMap<WorkloadId, LiveWorkload>>>,
    /// Who is beside whom.
    peers: Arc<Mutex<HashMap<SessionId, Arc<[Peer]>>>>,
    changed: watch::Sender<u64>,
}

impl Default for Live {
    fn default() -> Self {
        Self { map: Arc::default(), peers: Arc::default(), changed: watch::Sender::new(0) }
    }
}

impl Live {
    /// The newest word on one workload, if it belongs to a running session.
    pub(crate) fn get(&self, id: WorkloadId) -> Option<LiveWorkload> {
        self.lock().get(&id).cloned()
    }

    /// States of a session's workloads, without those that somebody asked for while it ran.
    pub(crate) fn states(&self, session: SessionId) -> Vec<WorkloadState> {
        let map = self.lock();
        map.values().filter(|live| live.session == session && !live.asked).map(|live| live.state.clone()).collect()
    }

    /// States of a service's workloads in all running sessions.
    pub(crate) fn states_of(&self, service: ServiceId) -> Vec<WorkloadState> {
        self.lock().values().filter(|live| live.service == service).map(|live| live.state.clone()).collect()
    }

    /// Changes with everything else here.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Where a workload is; its progress is over, a planned restart as well.
    pub(crate) fn show(&self, launch: &Launch) {
        self.put(launch, None);
    }

    /// Where a crashed workload is, that is started again at `at`.
    pub(super) fn show_waiting(&self, launch: &Launch, at: Timestamp, reason: Refusal) {
        self.put(launch, Some((at, reason)));
    }

    /// Every service of a session, with its place.
    pub(crate) fn peers(&self, session: SessionId) -> Arc<[Peer]> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get(&session).cloned().unwrap_or_else(|| Arc::from([]))
    }

    /// Who is beside whom in a session from now on.
    pub(super) fn set_peers(&self, session: SessionId, peers: Arc<[Peer]>) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).insert(session, peers);
    }

    /// Forgets the workloads of a session that is over.
    pub(crate) fn forget(&self, session: SessionId) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        self.lock().retain(|_, live| live.session != session);
        self.note();
    }

    /// Forgets one workload.
    pub(crate) fn forget_one(&self, id: WorkloadId) {
        self.lock().remove(&id);
        self.note();
    }

    /// Receives a pull's progress for `id`.
    pub(crate) fn progress(&self, id: WorkloadId) -> Arc<dyn Progress> {
        Arc::new(PullProgress { live: self.clone(), id })
    }

    /// A pull is over that did not change the workload's state.
    pub(crate) fn end_progress(&self, id: WorkloadId) {
        if let Some(workload) = self.lock().get_mut(&id) {
            workload.progress.clear();
        }
        self.note();
    }

    fn put(&self, launch: &Launch, waiting: Option<(Timestamp, Refusal)>) {
        let (restart_at, last_reason) = waiting.unzip();
        let live = LiveWorkload {
            session: launch.session,
            service: launch.service,
            asked: launch.asked.is_some(),
            state: launch.state.clone(),
            restarts: launch.restarts,
            exit_code: launch.exit_code,
            started_at: launch.started_at,
            image_digest: launch.image.as_ref().map(|fetched| fetched.image.digest.clone()),
            opened: launch.image.as_ref().map(|fetched| fetched.opened.clone()).unwrap_or_default(),
            progress: Vec::new(),
            restart_at,
            last_reason,
        };
        self.lock().insert(launch.id, live);
        self.note();
    }

    /// Something changed that is shown, though not here.
    pub(crate) fn note(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkloadId, LiveWorkload>> {
        // A panic while holding the lock leaves a map that is whole: every change is one insert or remove.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct PullProgress {
    live: Live,
    id: WorkloadId,
}

impl Progress for PullProgress {
    fn layer(&self, progress: LayerProgress) {
        let mut map = self.live.lock();
        let Some(workload) = map.get_mut(&self.id) else { return };
        let layer = progress.blob.to_string();
        match workload.progress.iter_mut().find(|known| known.layer == layer) {
            Some(known) => known.done = progress.done,
            None => workload.progress.push(wire::LayerProgress { layer, done: progress.done, total: progress.total }),
        }
    }
}
