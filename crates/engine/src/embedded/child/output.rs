//! What the container prints, from its two pipes into its log.

use std::{
    fs::File,
    io::{self, Read},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::log::{LogFiles, LogStream};

/// How long a stream may stay open after the last process is gone.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes taken from a stream at once.
const CHUNK: usize = 32 << 10;

/// The container's two streams and their log.
pub(super) struct Output {
    /// Standard output and standard error.
    pub streams: [LogStream; 2],
    /// Where both go.
    pub log: LogFiles,
}

impl Output {
    /// Takes what is there from one stream; the pipe is `None` when it has ended.
    pub(super) fn pump(&mut self, number: usize, pipe: &mut Option<File>) -> io::Result<()> {
        let Some(open) = pipe else { return Ok(()) };
        let mut chunk = [0; CHUNK];
        match open.read(&mut chunk) {
            Ok(0) => {
                *pipe = None;
                self.streams[number].end(&mut self.log);
            }
            Ok(length) => self.streams[number].push(&chunk[..length], &mut self.log),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The container has ended: what is still in the pipes.
    pub(super) fn last_words(&mut self, pipes: &mut [Option<File>; 2]) -> io::Result<()> {
        let until = Instant::now() + LAST_WORDS;
        for (number, pipe) in pipes.iter_mut().enumerate() {
            while let Some(open) = pipe {
                let left = until.saturating_duration_since(Instant::now());
                let mut fds = [PollFd::new(open, PollFlags::IN)];
                wait(&mut fds, Some(left))?;
                if fds[0].revents().is_empty() {
                    break;
                }
                self.pump(number, pipe)?;
            }
            if pipe.is_some() {
                self.streams[number].end(&mut self.log);
            }
        }
        Ok(())
    }
}

/// Waits until something can be read, or the time is over.
pub(super) fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    });
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
