//! The workload's log: two streams in, whole redacted lines out, two files that take turns.
//!
//! What must stay true: a line is written whole, with one write, so that readers see whole lines; the files together
//! never exceed the bound; nothing reaches them but through the redactor.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
};

use rustix::fs::{OFlags, renameat};

use super::super::files::{self, LOG, OLD_LOG};
use crate::redact::Redactor;

/// A line is cut here: a program that prints no line ends must not fill our memory.
const MAX_LINE: usize = 64 << 10;

/// The smallest size of one file.
const MIN_FILE: u64 = 64 << 10;

/// How much of the end of the log is kept in mind.
const END: usize = 4 << 10;

/// Where lines go. A disk that is full costs lines, never the workload.
pub(super) struct LogFiles {
    dir: OwnedFd,
    file: File,
    written: u64,
    each: u64,
    lost: u64,
    end: Vec<u8>,
}

impl LogFiles {
    /// Goes on with the log in `dir`; both files together hold at most `bound` bytes.
    pub(super) fn open(dir: OwnedFd, bound: u64) -> io::Result<Self> {
        let file = open_log(&dir)?;
        let written = file.metadata()?.len();
        Ok(Self { dir, file, written, each: (bound / 2).max(MIN_FILE), lost: 0, end: Vec::new() })
    }

    /// Appends whole lines.
    fn append(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        self.keep_in_mind(lines);
        let written = if self.lost == 0 { self.write(lines) } else { self.write(&self.with_notice(lines)) };
        match written {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost += lines.iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }

    /// Whether `words` stand near the end of the log.
    pub(super) fn ends_about(&self, words: &str) -> bool {
        self.end.windows(words.len()).any(|window| window == words.as_bytes())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.written > 0 && self.written + lines.len() as u64 > self.each {
            renameat(&self.dir, LOG, &self.dir, OLD_LOG)?;
            self.file = open_log(self.dir.as_fd())?;
            self.written = 0;
        }
        self.file.write_all(lines)?;
        self.written += lines.len() as u64;
        Ok(())
    }

    /// The line end first: the write that failed may have left a part of a line.
    fn with_notice(&self, lines: &[u8]) -> Vec<u8> {
        let notice = format!("\n[meshkeep: {} lines are missing here, the log could not be written]\n", self.lost);
        [notice.as_bytes(), lines].concat()
    }

    fn keep_in_mind(&mut self, lines: &[u8]) {
        self.end.extend_from_slice(&lines[lines.len().saturating_sub(END)..]);
        self.end.drain(..self.end.len().saturating_sub(END));
    }
}

fn open_log(dir: impl AsFd) -> io::Result<File> {
    files::open_file(dir, LOG, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)
}

/// One of the two streams, on its way into the log.
pub(super) struct LogStream {
    redactor: Redactor,
    line: Vec<u8>,
}

impl LogStream {
    /// A stream that goes through `redactor`.
    pub(super) const fn new(redactor: Redactor) -> Self {
        Self { redactor, line: Vec::new() }
    }

    /// Takes what was printed; whole lines go into the log.
    pub(super) fn push(&mut self, bytes: &[u8], log: &mut LogFiles) {
        self.redactor.push(bytes, &mut self.line);
        while let Some(end) = whole(&self.line) {
            let mut lines: Vec<u8> = self.line.drain(..end).collect();
            if !lines.ends_with(b"\n") {
                lines.push(b'\n');
            }
            log.append(&lines);
        }
    }

    /// The stream has ended: what is left becomes a line.
    pub(super) fn end(&mut self, log: &mut LogFiles) {
        self.redactor.flush(&mut self.line);
        let mut rest = std::mem::take(&mut self.line);
        if !rest.is_empty() && !rest.ends_with(b"\n") {
            rest.push(b'\n');
        }
        log.append(&rest);
    }
}

/// Where the last whole line ends, or where a line that is too long is cut.
fn whole(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
    end.or((bytes.len() >= MAX_LINE).then_some(MAX_LINE))
}
