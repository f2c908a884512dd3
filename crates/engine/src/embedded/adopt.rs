//! What the server before this one left: living supervisors are taken over, the rest is cleaned up and told.

use std::{collections::BTreeSet, fs, io, path::Path, sync::Arc, time::Duration};

use meshkeep_core::id::WorkloadId;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use tokio::net::UnixStream;

use super::{
    Inner,
    config::OpenError,
    files::{self, Record},
    link,
    slot::{Seen, Slot},
    start::socket_address,
};

/// How long a living supervisor may take to say how its workload is.
const GREETING: Duration = Duration::from_secs(5);

/// Takes over every recorded workload.
pub(super) async fn adopt(inner: &Arc<Inner>) -> Result<(), OpenError> {
    let dir = inner.workloads_dir();
    let unreadable = |source| OpenError::Io { what: "cannot read", path: dir.clone(), source };
    let mut settling = Vec::new();
    for entry in fs::read_dir(&dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()?.parse::<WorkloadId>().ok()) else { continue };
        let Some(record) = recorded(&path, id) else {
            // Made, and nothing started in it yet.
            fs::remove_dir_all(&path).map_err(unreadable)?;
            continue;
        };
        inner.ranges().keep(record.id_base);
        let slot = Arc::new(Slot::new(Some(Seen::starting(record))));
        inner.slots().insert(id, slot.clone());
        let inner = inner.clone();
        settling.push(tokio::spawn(async move {
            match reach(&path) {
                Ok(stream) => greet(&inner, slot, stream).await,
                Err(_) => link::settle(&inner, &slot).await,
            }
        }));
    }
    for task in settling {
        if let Err(error) = task.await {
            tracing::error!(%error, "a workload could not be settled");
        }
    }
    let swept = inner.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || sweep(&swept)).await {
        tracing::error!(%error, "leftovers could not be looked for");
    }
    Ok(())
}

fn recorded(path: &Path, id: WorkloadId) -> Option<Record> {
    let record = files::open_dir(path).and_then(|dir| files::read_record::<Record>(&dir, files::RECORD));
    match record {
        Ok(record) => record.filter(|record| record.id == id),
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "a workload's record is damaged; it is removed");
            None
        }
    }
}

/// The supervisor, when it lives: its socket refuses connections as soon as it does not.
pub(super) fn reach(path: &Path) -> io::Result<UnixStream> {
    let dir = files::open_dir(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &socket_address(&dir)?)?;
    UnixStream::from_std(socket.into())
}

/// Watches a living supervisor; returns when it has said how its workload is.
async fn greet(inner: &Arc<Inner>, slot: Arc<Slot>, stream: UnixStream) {
    let mut heard = slot.watch();
    heard.mark_unchanged();
    link::watch(inner.clone(), slot, stream, None);
    // A supervisor answers at once; one that is held up is heard later.
    if tokio::time::timeout(GREETING, heard.changed()).await.is_err() {
        tracing::warn!("a supervisor does not answer");
    }
}

/// Ends what runs in our cgroups without a record, and removes the networks of sessions without workloads: those whose
/// last workload was removed just before the server was killed.
fn sweep(inner: &Inner) {
    let used: BTreeSet<_> =
        inner.slots().values().filter_map(|slot| slot.seen()).map(|seen| seen.record.session).collect();
    for session in inner.networks.sessions().into_iter().filter(|session| !used.contains(session)) {
        if let Err(error) = inner.networks.remove_session(session) {
            tracing::error!(%error, %session, "the network of a session without workloads could not be removed");
        }
    }
    for name in inner.hierarchies.below(&inner.cgroup_parent) {
        let known = name.parse::<WorkloadId>().is_ok_and(|id| inner.slots().contains_key(&id));
        if !known && let Err(error) = inner.hierarchies.destroy(&format!("{}/{name}", inner.cgroup_parent)) {
            tracing::error!(%error, cgroup = name, "a leftover could not be ended");
        }
    }
    if inner.slots().is_empty() {
        inner.hierarchies.remove_empty(&inner.cgroup_parent);
    }
}
