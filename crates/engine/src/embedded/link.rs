//! The server's side of a supervisor: hears its states, hands it commands, and settles what is left when it is gone.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::Child,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

use super::{
    Inner, files,
    proto::{self, Command, State, Status},
    slot::{Slot, lost},
};

/// What a supervisor said is read to its end for so long after it is gone: a process that it forked and that has not
/// ended yet may hold the connection open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Watches a supervisor until it is gone. `child` when this process started it.
pub(super) fn watch(inner: Arc<Inner>, slot: Arc<Slot>, stream: UnixStream, mut child: Option<Child>) {
    let (sender, commands) = unbounded_channel();
    slot.connect(Some(sender));
    // Ends by itself when the supervisor does. When the engine is closed first, the next one connects anew.
    tokio::spawn(async move {
        let (from, to) = stream.into_split();
        let conversation = converse(&inner, &slot, from, to, commands);
        tokio::pin!(conversation);
        let ended = tokio::select! {
            ended = &mut conversation => Some(ended),
            () = gone(child.as_mut()) => tokio::time::timeout(LAST_WORDS, &mut conversation).await.ok(),
            () = inner.closing.cancelled() => return,
        };
        if let Some(Err(error)) = ended {
            tracing::warn!(%error, "a supervisor broke off");
        }
        slot.connect(None);
        if child.is_some() {
            gone(child.as_mut()).await;
        }
        settle(&inner, &slot).await;
    });
}

/// Waits for the end of a supervisor that this process started; for ever when it started none.
async fn gone(child: Option<&mut Child>) {
    match child {
        Some(child) => {
            if let Err(error) = child.wait().await {
                tracing::warn!(%error, "a supervisor could not be waited for");
            }
        }
        None => std::future::pending().await,
    }
}

async fn converse(
    inner: &Inner,
    slot: &Slot,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut commands: UnboundedReceiver<Command>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        tokio::select! {
            read = from.read_buf(&mut buffer) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some(status) = proto::decode::<Status>(&mut buffer)? {
                    slot.update(|seen| seen.take(status));
                    inner.changed();
                }
            }
            command = commands.recv() => {
                if let Some(command) = command {
                    to.write_all(&proto::encode(&command)?).await?;
                }
            }
        }
    }
}

/// The supervisor is gone: ends what it left, and reads what it wrote down.
pub(super) async fn settle(inner: &Arc<Inner>, slot: &Slot) {
    let Some(seen) = slot.seen() else { return };
    let record = seen.record;
    let (dir, cgroup) = (inner.workload_dir(record.id), inner.cgroup(record.id));
    let hierarchies = inner.hierarchies.clone();
    let attempt = record.attempt;
    let end = tokio::task::spawn_blocking(move || {
        if let Err(error) = hierarchies.destroy(&cgroup) {
            tracing::error!(%error, cgroup, "what a workload left could not be ended");
        }
        read_end(dir, attempt)
    })
    .await;
    let status = match end {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            tracing::error!(%error, workload = %record.id, "an exit record could not be read");
            None
        }
        Err(error) => {
            tracing::error!(%error, workload = %record.id, "a workload's end could not be settled");
            None
        }
    };
    slot.update(|seen| {
        match status {
            Some(status) => seen.take(status),
            // Told, but on a full disk not written down.
            None if seen.state.is_over() => {}
            None => seen.state = State::Failed { reason: lost(&record, &inner.boot_id) },
        }
        seen.supervised = false;
    });
    inner.changed();
}

/// The exit record of this very attempt.
fn read_end(dir: PathBuf, attempt: u32) -> io::Result<Option<Status>> {
    let dir = files::open_dir(&dir)?;
    let status = files::read_record::<Status>(&dir, files::EXIT)?;
    Ok(status.filter(|status| status.attempt == attempt && status.state.is_over()))
}
