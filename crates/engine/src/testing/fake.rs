//! [`FakeEngine`]: remembers what it was asked to start, and what a test says became of it.

use std::{
    collections::{BTreeMap, VecDeque},
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use meshkeep_core::{
    Refusal, Timestamp,
    environment::Environment,
    id::{SessionId, WorkloadId},
};
use tokio::sync::{mpsc, watch};

use crate::{
    Deliver, Engine, EngineError, ExecOutput, ExecRequest, ExecSession, LogStream, Observed, ObservedState, Peer,
    StorageId, Workload,
};

/// A start that happened.
#[derive(Clone, Debug)]
pub struct Start {
    /// What was asked for.
    pub workload: Workload,
    /// The environment that was delivered.
    pub environment: Environment,
}

impl Start {
    /// The value of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.0.iter().find(|variable| variable.name.as_str() == name).map(|found| found.value.expose())
    }
}

struct Fake {
    workload: Workload,
    state: ObservedState,
    log: Vec<String>,
}

#[derive(Default)]
pub(super) struct State {
    workloads: BTreeMap<WorkloadId, Fake>,
    starts: Vec<Start>,
    errors: BTreeMap<String, VecDeque<EngineError>>,
    peers: BTreeMap<SessionId, Vec<Peer>>,
    removed_sessions: Vec<SessionId>,
    removed_storages: Vec<StorageId>,
}

pub(super) type Shared = Arc<Mutex<State>>;

/// An engine in memory.
pub struct FakeEngine {
    shared: Shared,
    changed: watch::Sender<u64>,
}

impl Default for FakeEngine {
    fn default() -> Self {
        Self { shared: Shared::default(), changed: watch::Sender::new(0) }
    }
}

impl FakeEngine {
    /// Every start so far, oldest first.
    #[must_use]
    pub fn starts(&self) -> Vec<Start> {
        self.state().starts.clone()
    }

    /// Waits until there were `count` starts of a service, and answers the last of them.
    pub async fn started(&self, service: &str, count: usize) -> Start {
        let of = |starts: Vec<Start>| {
            starts.into_iter().filter(|start| start.workload.service_name.as_str() == service).nth(count - 1)
        };
        self.until(|engine| of(engine.starts())).await
    }

    /// Waits until there is something.
    ///
    /// # Panics
    /// Never: the engine outlives its own channel.
    pub async fn until<T>(&self, there_is: impl Fn(&Self) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = there_is(self) {
                return found;
            }
            changes.changed().await.expect("the sender is a member of self");
        }
    }

    /// The process of a service ends with `code`.
    pub fn exit(&self, service: &str, code: i32) {
        let at = Timestamp::from_millis(0);
        self.becomes(service, ObservedState::Exited { code, at, hint: None });
    }

    /// One process ends with `code`.
    pub fn exit_one(&self, id: WorkloadId, code: i32) {
        if let Some(fake) = self.state().workloads.get_mut(&id) {
            fake.state = ObservedState::Exited { code, at: Timestamp::from_millis(0), hint: None };
        }
        self.note();
    }

    /// The engine loses a service for this reason.
    pub fn lose(&self, service: &str, reason: Refusal) {
        self.becomes(service, ObservedState::Failed(reason));
    }

    /// The next start of a service fails like this.
    pub fn fail_next(&self, service: &str, error: EngineError) {
        self.state().errors.entry(service.to_owned()).or_default().push_back(error);
    }

    /// A service writes a line.
    pub fn write(&self, service: &str, line: &str) {
        for fake in self.state().workloads.values_mut().filter(|fake| named(fake, service)) {
            fake.log.push(line.to_owned());
        }
        self.note();
    }

    /// Names of the services that it has, running or ended.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        self.state().workloads.values().map(|fake| fake.workload.service_name.to_string()).collect()
    }

    /// Sessions whose shared parts were released.
    #[must_use]
    pub fn removed_sessions(&self) -> Vec<SessionId> {
        self.state().removed_sessions.clone()
    }

    /// Names that a session's workloads know.
    #[must_use]
    pub fn peers(&self, session: SessionId) -> Vec<String> {
        self.state().peers.get(&session).into_iter().flatten().map(|peer| peer.name.to_string()).collect()
    }

    /// Stored directories that were removed.
    #[must_use]
    pub fn removed_storages(&self) -> Vec<StorageId> {
        self.state().removed_storages.clone()
    }

    fn becomes(&self, service: &str, state: ObservedState) {
        for fake in self.state().workloads.values_mut().filter(|fake| named(fake, service)) {
            fake.state = state.clone();
        }
        self.note();
    }

    fn note(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Line `at` of a log: not written yet (`Some(None)`), or the workload is gone (`None`).
    #[expect(clippy::option_option, reason = "a line, none yet, none ever: said in the comment")]
    pub(super) fn line(shared: &Shared, id: WorkloadId, at: usize) -> Option<Option<String>> {
        let state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        state.workloads.get(&id).map(|fake| fake.log.get(at).cloned())
    }
}

fn named(fake: &Fake, service: &str) -> bool {
    fake.workload.service_name.as_str() == service
}

#[async_trait]
impl Engine for FakeEngine {
    async fn observe(&self) -> Result<Vec<Observed>, EngineError> {
        let observed = |fake: &Fake| Observed {
            id: fake.workload.id,
            session: fake.workload.session,
            attempt: fake.workload.attempt,
            state: fake.state.clone(),
            address: Some(Ipv4Addr::LOCALHOST),
            started_at: None,
        };
        Ok(self.state().workloads.values().map(observed).collect())
    }

    async fn ensure(&self, workload: &Workload, deliver: &dyn Deliver) -> Result<(), EngineError> {
        let runs = self
            .state()
            .workloads
            .get(&workload.id)
            .is_some_and(|fake| fake.workload.attempt == workload.attempt && fake.state == ObservedState::Running);
        if runs {
            return Ok(());
        }
        let error = self.state().errors.get_mut(workload.service_name.as_str()).and_then(VecDeque::pop_front);
        if let Some(error) = error {
            return Err(error);
        }
        let environment = deliver.environment().await.map_err(EngineError::Rejected)?;
        {
            let mut state = self.state();
            let log = state.workloads.remove(&workload.id).map(|fake| fake.log).unwrap_or_default();
            let fake = Fake { workload: workload.clone(), state: ObservedState::Running, log };
            state.workloads.insert(workload.id, fake);
            state.starts.push(Start { workload: workload.clone(), environment });
        }
        self.note();
        Ok(())
    }

    async fn name_peers(&self, session: SessionId, peers: &[Peer]) -> Result<(), EngineError> {
        self.state().peers.insert(session, peers.to_vec());
        self.note();
        Ok(())
    }

    async fn stop(&self, id: WorkloadId, _grace: Duration) -> Result<(), EngineError> {
        {
            let mut state = self.state();
            let fake = state.workloads.get_mut(&id).ok_or(EngineError::NotFound(id))?;
            if fake.state == ObservedState::Running {
                fake.state = ObservedState::Exited { code: 143, at: Timestamp::from_millis(0), hint: None };
            }
        }
        self.note();
        Ok(())
    }

    async fn remove(&self, id: WorkloadId) -> Result<(), EngineError> {
        self.state().workloads.remove(&id).ok_or(EngineError::NotFound(id))?;
        self.note();
        Ok(())
    }

    async fn remove_storage(&self, storage: StorageId) -> Result<(), EngineError> {
        self.state().removed_storages.push(storage);
        Ok(())
    }

    async fn remove_session(&self, id: SessionId) -> Result<(), EngineError> {
        self.state().removed_sessions.push(id);
        self.note();
        Ok(())
    }

    async fn logs(&self, id: WorkloadId, tail: Option<usize>, follow: bool) -> Result<LogStream, EngineError> {
        let changes = self.changed.subscribe();
        let state = self.state();
        let fake = state.workloads.get(&id).ok_or(EngineError::NotFound(id))?;
        Ok(super::logs::stream(Arc::clone(&self.shared), changes, id, &fake.log, tail, follow))
    }

    /// Says its command and ends.
    async fn exec(&self, id: WorkloadId, request: ExecRequest) -> Result<ExecSession, EngineError> {
        if !self.state().workloads.contains_key(&id) {
            return Err(EngineError::NotFound(id));
        }
        let said = request.command.join(" ").into_bytes();
        let said = [ExecOutput::Started, ExecOutput::Stdout(said), ExecOutput::Exited(0)];
        let (input, _) = mpsc::channel(1);
        Ok(ExecSession { input, output: stream::iter(said.map(Ok)).boxed() })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
