//! Reading a workload's log: the last lines, and what comes after them.
//!
//! Readers share nothing with the supervisor but the two files. They wait for the kernel to tell of changes (inotify) and
//! for the workload to end. What must stay true: only whole lines are given out, each once, in their order.

use std::{
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::PathBuf,
};

use futures_util::{StreamExt as _, stream};
use rustix::fs::{OFlags, inotify};
use tokio::{io::unix::AsyncFd, sync::watch};

use super::{
    files::{self, LOG, OLD_LOG},
    slot::Seen,
    sys,
};
use crate::{LogChunk, LogStream, engine::broken};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// The last `tail` lines, then, with `follow`, what comes until the workload ends for good.
pub(super) fn read(
    dir: PathBuf,
    seen: watch::Receiver<Option<Seen>>,
    tail: Option<usize>,
    follow: bool,
) -> io::Result<LogStream> {
    // Watched before anything is read: nothing between is missed.
    let changes = follow.then(|| Changes::of(&dir)).transpose()?;
    let mut reader = Reader::open(files::open_dir(&dir)?)?;
    if let Some(tail) = tail {
        reader.skip_to_last(tail)?;
    }
    let state = (reader, changes, seen);
    Ok(stream::try_unfold(state, |(mut reader, changes, mut seen)| async move {
        loop {
            // Asked before reading: what was written before the end is read after it was seen.
            let over = seen.borrow_and_update().as_ref().is_none_or(Seen::ended_for_good);
            let bytes = reader.next().map_err(broken("reading a log"))?;
            if !bytes.is_empty() {
                return Ok(Some((LogChunk { bytes }, (reader, changes, seen))));
            }
            let Some(changes) = &changes else { return Ok(None) };
            if over {
                return Ok(None);
            }
            tokio::select! {
                changed = changes.wait() => changed.map_err(broken("watching a log"))?,
                // The sender is gone: the engine was closed.
                changed = seen.changed() => if changed.is_err() { return Ok(None) },
            }
        }
    })
    .boxed())
}

/// Tells when something in a directory changes.
struct Changes(AsyncFd<OwnedFd>);

impl Changes {
    fn of(dir: &PathBuf) -> io::Result<Self> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let events = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::ONLYDIR;
        inotify::add_watch(&watch, dir, events)?;
        Ok(Self(sys::awaited(watch)?))
    }

    async fn wait(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        let mut events = [0; 4096];
        // Which ones they are does not matter; all that are there are taken.
        while let Ok(Ok(_)) = ready.try_io(|watch| Ok(rustix::io::read(watch, &mut events)?)) {}
        Ok(())
    }
}

/// A place in the log. Follows the files as they take turns.
struct Reader {
    dir: OwnedFd,
    file: Option<File>,
    at: u64,
}

impl Reader {
    fn open(dir: OwnedFd) -> io::Result<Self> {
        let file = match open(&dir, OLD_LOG)? {
            Some(old) => Some(old),
            None => open(&dir, LOG)?,
        };
        Ok(Self { dir, file, at: 0 })
    }

    /// The next whole lines; empty when there are none yet.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let full = self.is_full()?;
            // Asked before reading: a file that is full gets no more lines, so this reads all that it has.
            let lines = self.lines()?;
            if !lines.is_empty() || !full {
                return Ok(lines);
            }
            self.turn()?;
        }
    }

    fn lines(&mut self) -> io::Result<Vec<u8>> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let mut bytes = vec![0; CHUNK];
        let length = file.read_at(&mut bytes, self.at)?;
        // A reader may see a part of a write; lines are never longer than what is read at once.
        let whole = bytes[..length].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(if whole == 0 && length == CHUNK { length } else { whole });
        self.at += bytes.len() as u64;
        Ok(bytes)
    }

    /// Whether another file is being written by now.
    fn is_full(&self) -> io::Result<bool> {
        let here = self.file.as_ref().map(identity).transpose()?;
        let current = open(&self.dir, LOG)?.as_ref().map(identity).transpose()?;
        Ok(current.is_some() && here != current)
    }

    /// Goes on to the file after this one.
    fn turn(&mut self) -> io::Result<()> {
        let here = self.file.as_ref().map(identity).transpose()?;
        // Opened in this order: when they take turns in between, the older one is read first and nothing is left out.
        let old = open(&self.dir, OLD_LOG)?;
        let next = match old {
            // They took turns more than once since: what was between is gone, this is the oldest that is left.
            Some(old) if here != Some(identity(&old)?) => Some(old),
            _ => open(&self.dir, LOG)?,
        };
        if next.is_some() {
            self.file = next;
            self.at = 0;
        }
        Ok(())
    }

    fn skip_to_last(&mut self, lines: usize) -> io::Result<()> {
        let mut wanted = lines;
        for name in [LOG, OLD_LOG] {
            let Some(file) = open(&self.dir, name)? else { continue };
            let (at, found) = last_lines(&file, wanted)?;
            (self.file, self.at) = (Some(file), at);
            wanted -= found;
            if wanted == 0 {
                break;
            }
        }
        Ok(())
    }
}

fn open(dir: &OwnedFd, name: &str) -> io::Result<Option<File>> {
    match files::open_file(dir, name, OFlags::RDONLY) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|data| (data.dev(), data.ino()))
}

/// Where the last `wanted` lines of a file begin, and how many there are.
fn last_lines(file: &File, wanted: usize) -> io::Result<(u64, usize)> {
    let mut end = file.metadata()?.len();
    let mut ends = 0;
    let mut block = vec![0; CHUNK];
    while end > 0 {
        let from = end.saturating_sub(CHUNK as u64);
        let length = usize::try_from(end - from).map_err(io::Error::other)?;
        file.read_exact_at(&mut block[..length], from)?;
        for at in (0..length).rev().filter(|at| block[*at] == b'\n') {
            if ends == wanted {
                return Ok((from + at as u64 + 1, wanted));
            }
            ends += 1;
        }
        end = from;
    }
    Ok((0, ends))
}
