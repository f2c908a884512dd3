//! The log of a workload that a test wrote.

use futures_util::{StreamExt as _, stream};
use meshkeep_core::id::WorkloadId;
use tokio::sync::watch;

use super::fake::{FakeEngine, Shared};
use crate::{LogChunk, LogStream};

/// The last `tail` lines of `written`, then, with `follow`, what comes until the workload is removed.
pub(super) fn stream(
    shared: Shared,
    changes: watch::Receiver<u64>,
    id: WorkloadId,
    written: &[String],
    tail: Option<usize>,
    follow: bool,
) -> LogStream {
    let skipped = tail.map_or(0, |tail| written.len().saturating_sub(tail));
    let old: Vec<_> = written[skipped..].iter().map(|line| Ok(chunk(line))).collect();
    let old = stream::iter(old);
    if !follow {
        return old.boxed();
    }
    let rest = stream::unfold((shared, changes, written.len()), move |(shared, mut changes, at)| async move {
        loop {
            match FakeEngine::line(&shared, id, at) {
                Some(Some(line)) => return Some((Ok(chunk(&line)), (shared, changes, at + 1))),
                Some(None) => changes.changed().await.ok()?,
                None => return None,
            }
        }
    });
    old.chain(rest).boxed()
}

fn chunk(line: &str) -> LogChunk {
    LogChunk { bytes: format!("{line}\n").into_bytes() }
}
