//! The helper's loop: between the server's connection and the command's streams, until both ends have nothing to say.
//!
//! What must stay true: whatever the command wrote before its end is sent before its end is; a server that goes away
//! ends the command; what is waiting for either side has a bound.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use meshkeep_core::Refusal;
use rustix::{
    event::{PollFd, PollFlags},
    io::ioctl_fionbio,
    termios::{Winsize, tcsetwinsize},
};

use super::{
    super::{
        super::{
            proto::exec::{self, HEAD, MAX},
            sys,
        },
        fault::{Doing, Fault},
        output::wait,
    },
    Command, Ours,
};

/// Bytes read from a stream at once.
const CHUNK: usize = 16 << 10;
/// Bytes that may wait for a command that does not read; the server waits then.
const WAITING: usize = 256 << 10;
/// How long a stream may stay open after the command has ended: something that it started may hold it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Says why there is no command.
pub(super) fn fail(stream: &UnixStream, refusal: &Refusal) -> io::Result<()> {
    send(stream, exec::FAILED, &serde_json::to_vec(refusal)?)
}

/// Until the command has ended, or the server has gone.
pub(super) fn converse(stream: &UnixStream, begun: Command) -> Result<(), Fault> {
    let Command { pid, handle, ours } = begun;
    let talked = Talk::new(stream, handle, ours).and_then(|mut talk| talk.run(pid));
    if talked.is_err() {
        // The server has gone; so must the command. It is a child of this process, so the id is still its own.
        let _ = sys::kill(pid);
        let _ = sys::reap(pid);
    }
    talked.doing("talking with the command")
}

struct Talk<'a> {
    stream: &'a UnixStream,
    handle: OwnedFd,
    /// Where its input goes; `None` when that has ended.
    stdin: Option<File>,
    /// What it says, by kind of frame.
    outputs: [(u8, Option<File>); 2],
    /// The terminal, for its size.
    terminal: Option<File>,
    received: Vec<u8>,
    waiting: Vec<u8>,
    closing: bool,
}

impl<'a> Talk<'a> {
    fn new(stream: &'a UnixStream, handle: OwnedFd, ours: Ours) -> io::Result<Self> {
        let (stdin, stdout, stderr, terminal) = match ours {
            Ours::Terminal(master) => {
                let (reads, sizes) = (master.try_clone()?, master.try_clone()?);
                (Some(master), reads, None, Some(sizes))
            }
            Ours::Pipes { stdin, stdout, stderr } => (stdin, stdout, Some(stderr), None),
        };
        for file in [stdin.as_ref(), Some(&stdout), stderr.as_ref()].into_iter().flatten() {
            ioctl_fionbio(file, true)?;
        }
        let outputs = [(exec::STANDARD, Some(stdout)), (exec::ERROR, stderr)];
        Ok(Self { stream, handle, stdin, outputs, terminal, received: Vec::new(), waiting: Vec::new(), closing: false })
    }

    fn run(&mut self, pid: i32) -> io::Result<()> {
        send(self.stream, exec::STARTED, &[])?;
        while !self.turn()? {}
        let code = sys::reap(pid)?;
        self.last_words()?;
        send(self.stream, exec::EXITED, &code.to_be_bytes())
    }

    /// Waits for one thing to happen and deals with it; whether the command has ended.
    fn turn(&mut self) -> io::Result<bool> {
        let listens = if self.waiting.len() < WAITING { PollFlags::IN } else { PollFlags::empty() };
        let none = || PollFd::new(&self.handle, PollFlags::empty());
        let writable = self.stdin.as_ref().filter(|_| !self.waiting.is_empty());
        let mut fds = [
            PollFd::new(&self.handle, PollFlags::IN),
            PollFd::new(self.stream, listens),
            self.outputs[0].1.as_ref().map_or_else(none, |file| PollFd::new(file, PollFlags::IN)),
            self.outputs[1].1.as_ref().map_or_else(none, |file| PollFd::new(file, PollFlags::IN)),
            writable.map_or_else(none, |file| PollFd::new(file, PollFlags::OUT)),
        ];
        wait(&mut fds, None)?;
        let ready = fds.each_ref().map(|fd| !fd.revents().is_empty());
        for number in 0..self.outputs.len() {
            if ready[2 + number] {
                self.pump(number)?;
            }
        }
        if ready[1] {
            self.listen()?;
        }
        self.feed();
        Ok(ready[0])
    }

    /// Passes on what is there of one output.
    fn pump(&mut self, number: usize) -> io::Result<bool> {
        let (kind, file) = &mut self.outputs[number];
        let Some(open) = file else { return Ok(false) };
        let mut chunk = [0; CHUNK];
        match open.read(&mut chunk) {
            // A terminal of which nobody holds the other end says EIO.
            Ok(0) => *file = None,
            Err(error) if error.raw_os_error() == Some(libc::EIO) => *file = None,
            Ok(length) => {
                send(self.stream, *kind, &chunk[..length])?;
                return Ok(true);
            }
            Err(error) if is_nothing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// Takes what the server sent.
    fn listen(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        let mut stream = self.stream;
        match stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.received.extend_from_slice(&chunk[..length]),
            Err(error) if is_nothing(&error) => {}
            Err(error) => return Err(error),
        }
        while let Some(head) = self.received.first_chunk::<HEAD>() {
            let (kind, length) = exec::parse(*head).ok_or(io::ErrorKind::InvalidData)?;
            let Some(body) = self.received.get(HEAD..HEAD + length) else { break };
            match kind {
                exec::STANDARD if !self.closing => self.waiting.extend_from_slice(body),
                exec::CLOSE => self.closing = true,
                exec::KILL => sys::pidfd_signal(self.handle.as_fd(), libc::SIGKILL)?,
                exec::RESIZE => resize(self.terminal.as_ref(), body),
                _ => {}
            }
            zeroize::Zeroize::zeroize(&mut self.received[..HEAD + length]);
            self.received.drain(..HEAD + length);
        }
        Ok(())
    }

    /// Gives the command what waits for it, as far as it reads. One that has closed its input loses the rest.
    fn feed(&mut self) {
        while let (Some(stdin), false) = (&mut self.stdin, self.waiting.is_empty()) {
            match stdin.write(&self.waiting) {
                Ok(0) => self.stdin = None,
                Ok(written) => {
                    zeroize::Zeroize::zeroize(&mut self.waiting[..written]);
                    self.waiting.drain(..written);
                }
                Err(error) if is_nothing(&error) => return,
                Err(_) => self.stdin = None,
            }
        }
        if self.stdin.is_none() {
            self.waiting.clear();
        }
        if self.closing && self.waiting.is_empty() {
            match (&self.terminal, self.stdin.take()) {
                // The end of input, as a terminal says it.
                (Some(terminal), Some(_)) => {
                    let mut terminal: &File = terminal;
                    let _ = terminal.write(&[4]);
                }
                (_, stdin) => drop(stdin),
            }
        }
    }

    /// The command has ended: what is still in its outputs.
    fn last_words(&mut self) -> io::Result<()> {
        let until = Instant::now() + LAST_WORDS;
        for number in 0..self.outputs.len() {
            while let Some(file) = &self.outputs[number].1 {
                let mut fds = [PollFd::new(file, PollFlags::IN)];
                wait(&mut fds, Some(until.saturating_duration_since(Instant::now())))?;
                if fds[0].revents().is_empty() {
                    break;
                }
                self.pump(number)?;
            }
        }
        Ok(())
    }
}

fn resize(terminal: Option<&File>, body: &[u8]) {
    let (Some(terminal), Ok([a, b, c, d])) = (terminal, <[u8; 4]>::try_from(body)) else { return };
    let size =
        Winsize { ws_col: u16::from_be_bytes([a, b]), ws_row: u16::from_be_bytes([c, d]), ws_xpixel: 0, ws_ypixel: 0 };
    // A terminal that cannot have this size keeps the one it has.
    let _ = tcsetwinsize(terminal, size);
}

fn send(mut stream: &UnixStream, kind: u8, bytes: &[u8]) -> io::Result<()> {
    debug_assert!(bytes.len() <= MAX, "a frame is too long");
    stream.write_all(&[&exec::head(kind, bytes.len())[..], bytes].concat())
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
