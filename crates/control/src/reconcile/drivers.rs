//! The drivers of all running sessions, and the commands to them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use meshkeep_core::{
    Refusal, RefusalKind,
    id::{SessionId, WorkloadId},
};
use meshkeep_store::{Service, Session, Workload};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{
    Context, Launch, calls,
    driver::{Command, Relaunch, drive},
    launch::peers,
};

use crate::refusals::chain;

/// Commands that may wait for a driver that is in the middle of a start.
const WAITING: usize = 8;

/// Who drives what.
pub(crate) struct Drivers {
    context: Arc<Context>,
    tasks: TaskTracker,
    running: HashMap<WorkloadId, Handle>,
}

struct Handle {
    session: SessionId,
    commands: mpsc::Sender<Command>,
}

impl Drivers {
    /// None yet. `tasks` owns those to come.
    pub(crate) fn new(context: Arc<Context>, tasks: TaskTracker) -> Self {
        Self { context, tasks, running: HashMap::new() }
    }

    /// Starts driving a workload that is recorded.
    pub(crate) fn start(&mut self, launch: Launch) {
        self.context.live.show(&launch);
        let (commands, receiver) = mpsc::channel(WAITING);
        self.running.insert(launch.id, Handle { session: launch.session, commands });
        self.tasks.spawn(drive(Arc::clone(&self.context), launch, receiver));
    }

    /// Calls the services of a session that are hosted elsewhere.
    pub(crate) fn call_elsewhere(&self, session: &Session, services: Vec<Service>) {
        calls::place_elsewhere(&self.context, session, services);
    }

    /// Notes who is in a session from now on, and names them to those that run.
    pub(crate) fn meet(&self, session: SessionId, workloads: &[Workload]) {
        let peers = peers(workloads);
        self.context.live.set_peers(session, Arc::clone(&peers));
        let context = Arc::clone(&self.context);
        self.tasks.spawn(async move {
            if let Err(error) = context.parts.engine.name_peers(session, &peers).await {
                tracing::warn!(%session, error = %chain(&error), "services were not told of each other");
            }
        });
    }

    /// A way to command one workload, that needs no hold on all of them.
    pub(crate) fn of(&self, id: WorkloadId) -> Option<Commands> {
        self.running.get(&id).map(|handle| Commands(handle.commands.clone()))
    }

    /// Takes a session's drivers away, to be ended.
    pub(crate) fn take(&mut self, session: SessionId) -> Ending {
        let ids: Vec<_> = self.running.iter().filter(|(_, h)| h.session == session).map(|(id, _)| *id).collect();
        let commands = ids.iter().filter_map(|id| self.running.remove(id)).map(|handle| handle.commands).collect();
        Ending { context: Arc::clone(&self.context), of: Of::Session(session), commands }
    }

    /// Takes one driver away, to be ended; its session goes on.
    pub(crate) fn take_one(&mut self, id: WorkloadId) -> Ending {
        let commands = self.running.remove(&id).map(|handle| handle.commands).into_iter().collect();
        Ending { context: Arc::clone(&self.context), of: Of::Workload(id), commands }
    }
}

/// Commands to one driver.
pub(crate) struct Commands(mpsc::Sender<Command>);

impl Commands {
    /// Ends the workload's process; what it left stays.
    ///
    /// # Errors
    /// When the engine refuses, or the workload ends meanwhile.
    pub(crate) async fn halt(self, grace: Duration) -> Result<(), Refusal> {
        let (done, answer) = oneshot::channel();
        self.0.send(Command::Halt(grace, done)).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())?
    }

    /// Hands the workload what it shall be from now on; the answer comes when that is recorded.
    ///
    /// # Errors
    /// When the store refuses, or the workload ends meanwhile.
    pub(crate) async fn relaunch(self, relaunch: Relaunch) -> Result<(), Refusal> {
        let (done, answer) = oneshot::channel();
        self.0.send(Command::Relaunch(Box::new(relaunch), done)).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())?
    }
}

/// The refusal of what comes too late.
pub(crate) fn ending() -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "ending", "the session or the server is ending; nothing was restarted")
        .hint("look whether the session still runs, then try again")
}

/// A session whose record has ended, or a workload that was forgotten, and the drivers that do not know it yet.
pub(crate) struct Ending {
    context: Arc<Context>,
    of: Of,
    commands: Vec<mpsc::Sender<Command>>,
}

/// What ends.
enum Of {
    Session(SessionId),
    Workload(WorkloadId),
}

impl Ending {
    /// Stops all workloads side by side, then releases what they shared. When the server stops in the middle of it, the
    /// next start does the rest.
    pub(crate) async fn finish(self) {
        let stops = self.commands.iter().map(|commands| async {
            let (done, answer) = oneshot::channel();
            if commands.send(Command::Stop(done)).await.is_ok() {
                // An error means that the server stops.
                let _ = answer.await;
            }
        });
        futures_util::future::join_all(stops).await;
        match self.of {
            Of::Workload(id) => self.context.live.forget_one(id),
            Of::Session(session) => {
                self.context.live.forget(session);
                if !self.context.stopping.is_cancelled() {
                    self.context.release(session).await;
                }
            }
        }
    }
}
