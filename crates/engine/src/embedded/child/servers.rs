//! Servers that are connected to a supervisor: one is usual, two while one replaces the other, none while it is away.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
};

use super::super::proto::{self, Command, Status};

/// A connected server.
pub(super) struct Server {
    /// Polled for commands.
    pub stream: UnixStream,
    received: Vec<u8>,
}

impl Server {
    /// Takes over a connection.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Says how the workload is. A server that does not listen must not hold the workload up.
    pub(super) fn tell(&mut self, status: &Status) -> io::Result<()> {
        proto::write(&mut self.stream, status)
    }

    /// Takes what it sent; whole commands go to `commands`.
    pub(super) fn read(&mut self, commands: &mut Vec<Command>) -> io::Result<()> {
        let mut chunk = [0; 512];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.received.extend_from_slice(&chunk[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        while let Some(command) = proto::decode(&mut self.received)? {
            commands.push(command);
        }
        Ok(())
    }
}
