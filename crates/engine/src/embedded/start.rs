//! Starting a workload: record, network, listening socket, then the supervisor and its launch.
//!
//! What must stay true: everything that a crash would leave on the host is recorded before it is made; the environment is
//! opened last, sent once and wiped.

use std::{io, os::fd::OwnedFd, process::Stdio, sync::Arc};

use meshkeep_core::{Refusal, RefusalKind};
use rustix::{
    fs::{CWD, Mode, mkdirat},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
};
use tokio::{io::AsyncWriteExt, net::UnixStream, process::Command};

use super::{
    Inner,
    files::{self, Lasting, Record},
    launch::{self, Place},
    link,
    net::SessionNetwork,
    program::Program,
    proto::{self, Delivery, Launch, State},
    slot::{Seen, Slot},
    storage,
};
use crate::{Deliver, EngineError, Workload, engine::broken};

/// Starts `workload` in `slot`, whose gate the caller holds. Returns when its process was started or could not be.
pub(super) async fn start(
    inner: &Arc<Inner>,
    slot: &Arc<Slot>,
    workload: &Workload,
    deliver: &dyn Deliver,
) -> Result<(), EngineError> {
    let place = launch::place_of(workload).map_err(EngineError::Rejected)?;
    let network = session_network(inner, workload).await?;
    let (record, launch) = prepare(inner, slot, workload, network, place)?;
    let listener = listener(inner, &record).map_err(broken("recording a start"))?;
    slot.set(Seen::starting(record));
    inner.changed();
    let outcome = match deliver.environment().await {
        Ok(environment) => match Delivery::pack(&environment) {
            Ok(delivery) => run(inner, slot, launch, delivery, listener).await,
            Err(error) => Err(broken("packing the environment")(error)),
        },
        Err(refusal) => Err(not_delivered(refusal)),
    };
    if let Err(error) = &outcome {
        let reason = error.refusal();
        slot.update(|seen| {
            if !seen.state.is_over() {
                seen.state = State::Failed { reason };
            }
            seen.supervised = false;
        });
        inner.changed();
    }
    outcome
}

/// Refusals that pass by themselves are told apart from those that do not.
fn not_delivered(refusal: Refusal) -> EngineError {
    if refusal.kind == RefusalKind::Unavailable {
        EngineError::Unavailable(refusal)
    } else {
        EngineError::Rejected(refusal)
    }
}

async fn session_network(inner: &Arc<Inner>, workload: &Workload) -> Result<SessionNetwork, EngineError> {
    let (inner, session) = (inner.clone(), workload.session);
    tokio::task::spawn_blocking(move || inner.networks.ensure_session(session))
        .await
        .map_err(broken("making the session's network"))?
        .map_err(broken("making the session's network"))
}

fn prepare(
    inner: &Inner,
    slot: &Slot,
    workload: &Workload,
    network: SessionNetwork,
    place: u8,
) -> Result<(Record, Launch), EngineError> {
    let kept = slot.seen().map(|seen| seen.record.id_base);
    let id_base = kept.or_else(|| inner.ranges().take()).ok_or_else(|| {
        let message = "all ranges of ids for workloads are in use";
        EngineError::Unavailable(
            Refusal::new(RefusalKind::Unavailable, "over_a_limit", message).hint("end some sessions"),
        )
    })?;
    let release = || {
        if kept.is_none() {
            inner.ranges().release(id_base);
        }
    };
    let mounts = match storage::mounts(&inner.storage_dir(), inner.config.first_id, &workload.mounts) {
        Ok(mounts) => mounts,
        Err(error) => {
            release();
            return Err(broken("making a directory of the storage")(error));
        }
    };
    let record = Record {
        version: proto::VERSION,
        id: workload.id,
        session: workload.session,
        service: workload.service,
        service_name: workload.service_name.clone(),
        attempt: workload.attempt,
        boot_id: inner.boot_id.clone(),
        id_base,
        address: network.address(place),
        image: (workload.image.reference.clone(), workload.image.digest.to_string()),
        secrets: workload.secrets.clone(),
        stopped: false,
    };
    let place = Place {
        dir: inner.workload_dir(workload.id),
        stage: inner.stage_dir(),
        force_loop: inner.config.force_loop,
        id_base,
        network,
        place,
        cgroup: inner.cgroup(workload.id),
        mounts,
        storage_base: inner.config.first_id,
    };
    match launch::launch(workload, place) {
        Ok(launch) => Ok((record, launch)),
        Err(refusal) => {
            release();
            Err(EngineError::Rejected(refusal))
        }
    }
}

/// Makes the workload's directory, records the start, and listens where a later server will connect. The socket listens
/// before the supervisor exists, so that a server that comes back at any moment finds it, or finds it dead.
fn listener(inner: &Inner, record: &Record) -> io::Result<OwnedFd> {
    let path = inner.workload_dir(record.id);
    match mkdirat(CWD, &path, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let dir = files::open_dir(&path)?;
    files::forget(&dir, files::EXIT)?;
    files::forget(&dir, files::SOCKET)?;
    files::write_record(&dir, files::RECORD, record, Lasting::ThisBoot)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &socket_address(&dir)?)?;
    listen(&socket, 16)?;
    Ok(socket)
}

/// The socket's address through a handle of its directory: the directory's own path may be too long for one.
pub(super) fn socket_address(dir: &OwnedFd) -> io::Result<SocketAddrUnix> {
    use std::os::fd::AsRawFd;
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), files::SOCKET))?)
}

/// Starts the supervisor, hands it the launch and waits for the outcome. Whatever happens to the caller from here on,
/// the supervisor is watched.
async fn run(
    inner: &Arc<Inner>,
    slot: &Arc<Slot>,
    launch: Launch,
    delivery: Delivery,
    listener: OwnedFd,
) -> Result<(), EngineError> {
    let (inner, slot) = (inner.clone(), slot.clone());
    let task = tokio::spawn(async move {
        let launch = proto::encode(&launch).map_err(broken("packing the launch"))?;
        let (mut stream, child) = spawn(&inner.program, listener).map_err(broken("starting a supervisor"))?;
        let sent = async {
            stream.write_all(&launch).await?;
            stream.write_all(delivery.bytes()).await
        };
        let sent = sent.await;
        drop(delivery);
        let mut seen = slot.watch();
        link::watch(inner, slot, stream, Some(child));
        sent.map_err(broken("handing over the launch"))?;
        let settled = seen.wait_for(|seen| {
            seen.as_ref().is_none_or(|seen| matches!(seen.state, State::Running) || seen.is_over() || seen.removed)
        });
        let settled = settled.await.map_err(broken("waiting for a supervisor"))?;
        match settled.as_ref().map(|seen| &seen.state) {
            Some(State::Failed { reason }) => Err(not_started(reason.clone())),
            _ => Ok(()),
        }
    });
    task.await.map_err(broken("starting a workload"))?
}

fn not_started(reason: Refusal) -> EngineError {
    match reason.kind {
        RefusalKind::Unavailable | RefusalKind::Broken => EngineError::Unavailable(reason),
        _ => EngineError::Rejected(reason),
    }
}

fn spawn(program: &Program, listener: OwnedFd) -> io::Result<(UnixStream, tokio::process::Child)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let child = Command::new(program.path())
        .arg0("meshkeep")
        .arg("runtime-child")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(listener))
        .stderr(Stdio::null())
        .kill_on_drop(false)
        .spawn()?;
    Ok((UnixStream::from_std(ours)?, child))
}
