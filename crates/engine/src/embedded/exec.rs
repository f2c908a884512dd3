//! The server's side of a further process in a workload: a connection of its own to the workload's supervisor.
//!
//! What must stay true: dropping the session ends the process; a slow reader holds up nothing but that process.

use std::{io, sync::Arc};

use futures_util::StreamExt as _;
use meshkeep_core::{Refusal, RefusalKind, id::WorkloadId};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::{Duration, timeout},
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    Inner, adopt,
    proto::{
        self, Command,
        exec::{self, Begun, HEAD},
    },
    slot::Slot,
};
use crate::{EngineError, ExecInput, ExecOutput, ExecRequest, ExecSession, engine::broken};

/// Pieces that may wait on either way.
const WAITING: usize = 16;
/// How long a supervisor may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets a command in.
pub(super) async fn exec(
    inner: &Arc<Inner>,
    slot: &Slot,
    id: WorkloadId,
    request: ExecRequest,
) -> Result<ExecSession, EngineError> {
    // One after the other: a supervisor has few places for those that have not said what they want.
    let stream = {
        let _gate = slot.door.lock().await;
        let begun = timeout(PATIENCE, begin(inner, id, request)).await;
        begun.map_err(|_| EngineError::Unavailable(silent()))??
    };
    let (from, to) = stream.into_split();
    let (input, inputs) = mpsc::channel(WAITING);
    let (outputs, output) = mpsc::channel(WAITING);
    // Cancelled when the session is dropped: both ways are closed then, and the process ends.
    let open = CancellationToken::new();
    let guard = open.clone().drop_guard();
    tokio::spawn(open.clone().run_until_cancelled_owned(write(to, inputs)));
    tokio::spawn(open.run_until_cancelled_owned(read(from, outputs)));
    let output = futures_util::stream::unfold((output, guard), |(mut output, guard)| async move {
        output.recv().await.map(|said| (said, (output, guard)))
    });
    Ok(ExecSession { input, output: output.boxed() })
}

type Said = Result<ExecOutput, EngineError>;

async fn begin(inner: &Arc<Inner>, id: WorkloadId, request: ExecRequest) -> Result<UnixStream, EngineError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => EngineError::Rejected(not_running()),
        _ => broken("reaching a supervisor")(error),
    };
    let mut stream = adopt::reach(&inner.workload_dir(id)).map_err(failed)?;
    let ExecRequest { command, tty } = request;
    let command = proto::encode(&Command::Exec { command, tty }).map_err(broken("asking a supervisor"))?;
    stream.write_all(&command).await.map_err(broken("asking a supervisor"))?;
    loop {
        let mut head = [0; 4];
        if stream.read_exact(&mut head).await.is_err() {
            return Err(EngineError::Rejected(cannot()));
        }
        let mut body = vec![0; (u32::from_be_bytes(head) as usize).min(proto::MAX_FRAME)];
        stream.read_exact(&mut body).await.map_err(broken("hearing a supervisor"))?;
        // Before it, how the workload is.
        if serde_json::from_slice::<Begun>(&body).is_ok_and(|begun| begun.begun) {
            return Ok(stream);
        }
    }
}

async fn write(mut to: OwnedWriteHalf, mut inputs: mpsc::Receiver<ExecInput>) {
    while let Some(input) = inputs.recv().await {
        let (kind, bytes) = match input {
            ExecInput::Stdin(bytes) => (exec::STANDARD, bytes),
            ExecInput::CloseStdin => (exec::CLOSE, Zeroizing::default()),
            ExecInput::Kill => (exec::KILL, Zeroizing::default()),
            ExecInput::Resize { columns, rows } => {
                (exec::RESIZE, Zeroizing::new([columns.to_be_bytes(), rows.to_be_bytes()].concat()))
            }
        };
        let mut chunks = bytes.chunks(exec::MAX).collect::<Vec<_>>();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        for chunk in chunks {
            let sent = async {
                to.write_all(&exec::head(kind, chunk.len())).await?;
                to.write_all(chunk).await
            };
            if sent.await.is_err() {
                return;
            }
        }
    }
    // The asker keeps reading; the connection stays open until it does not.
    std::future::pending().await
}

async fn read(mut from: OwnedReadHalf, outputs: mpsc::Sender<Said>) {
    loop {
        let said = frame(&mut from).await;
        let is_last = !matches!(said, Ok(ExecOutput::Started | ExecOutput::Stdout(_) | ExecOutput::Stderr(_)));
        if outputs.send(said).await.is_err() || is_last {
            return;
        }
    }
}

async fn frame(from: &mut OwnedReadHalf) -> Said {
    let lost = |_| EngineError::Unavailable(lost());
    loop {
        let mut head = [0; HEAD];
        from.read_exact(&mut head).await.map_err(lost)?;
        let (kind, length) = exec::parse(head).ok_or_else(|| broken("hearing a process")("a frame is too long"))?;
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes).await.map_err(lost)?;
        return match kind {
            exec::STARTED => Ok(ExecOutput::Started),
            exec::STANDARD => Ok(ExecOutput::Stdout(bytes)),
            exec::ERROR => Ok(ExecOutput::Stderr(bytes)),
            exec::EXITED => {
                let code = bytes.try_into().map(i32::from_be_bytes);
                code.map(ExecOutput::Exited).map_err(|_| broken("hearing a process")("an exit status is none"))
            }
            exec::FAILED => {
                let refusal: Refusal = serde_json::from_slice(&bytes).map_err(broken("hearing a process"))?;
                Err(match refusal.kind {
                    RefusalKind::Unavailable | RefusalKind::Broken => EngineError::Unavailable(refusal),
                    _ => EngineError::Rejected(refusal),
                })
            }
            _ => continue,
        };
    }
}

fn not_running() -> Refusal {
    Refusal::new(RefusalKind::Conflict, "not_running", "no process of the container runs")
        .hint("start it, then try again")
}

fn cannot() -> Refusal {
    Refusal::new(
        RefusalKind::Conflict,
        "not_running",
        "the container has just ended, or was started by an older meshkeep",
    )
    .hint("restart the service, then try again")
}

fn silent() -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "timeout", "the container's supervisor does not answer").hint("try again")
}

fn lost() -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "exec_lost", "the container ended, or its supervisor was lost")
}
