//! What the server and a workload's supervisor say to each other, over a stream socket: frames of a length and JSON.
//!
//! The first connection is inherited: it carries one [`Launch`] and one [`Delivery`], then goes on like every later one
//! (a restarted server's): the supervisor sends its [`Status`] at once and at every change, the server sends
//! [`Command`]s. What must stay true: only [`Delivery`] holds plaintext, it is never JSON, and it is wiped on both sides.
//! A supervisor may be one release older than the server, so a version stands in every status.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
};

use meshkeep_core::{Refusal, SecretText, Timestamp, environment::Environment, id::WorkloadId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::net::SessionNetwork;

/// The version of this protocol.
pub(super) const VERSION: u32 = 2;

/// The first version whose supervisors understand [`Command::Peers`].
pub(super) const KNOWS_PEERS: u32 = 2;

/// Bytes of one frame at most; a launch with 127 layers is far below.
pub(super) const MAX_FRAME: usize = 1 << 20;

/// Bytes of one delivery at most: twice what an environment may take.
const MAX_DELIVERY: usize = 2 * meshkeep_core::environment::MAX_TOTAL_BYTES;

/// Everything about a start but its environment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    /// [`VERSION`].
    pub version: u32,
    /// Which workload.
    pub workload: WorkloadId,
    /// Which start of it.
    pub attempt: u32,
    /// Its directory.
    pub dir: PathBuf,
    /// An empty directory to mount over.
    pub stage: PathBuf,
    /// The layers' EROFS images, lowest first.
    pub layers: Vec<PathBuf>,
    /// Use loop devices even where files can be mounted.
    pub force_loop: bool,
    /// First host id of its user namespace's range.
    pub id_base: u32,
    /// The command, already chosen from manifest and image.
    pub args: Vec<String>,
    /// The image's `User`.
    pub user: String,
    /// Absolute working directory.
    pub working_dir: String,
    /// The signal that asks it to stop.
    pub stop_signal: i32,
    /// Whether the root file system may be written.
    pub writable_root: bool,
    /// What is mounted beside the image.
    pub mounts: Vec<Mount>,
    /// First host id that stored files belong to on the disk.
    pub storage_base: u32,
    /// Capabilities, as `CAP_…`.
    pub capabilities: Vec<String>,
    /// Bounds.
    pub limits: LaunchLimits,
    /// Its host name.
    pub hostname: String,
    /// `/etc/hosts`.
    pub hosts: String,
    /// `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// The session's network.
    pub network: SessionNetwork,
    /// Its place there.
    pub place: u8,
    /// Its cgroup, absolute within each hierarchy.
    pub cgroup: String,
}

/// One of [`Launch::mounts`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mount {
    /// Where.
    pub path: String,
    /// Whether it may only be read.
    pub read_only: bool,
    /// What.
    pub source: MountSource,
}

/// What is mounted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum MountSource {
    /// An empty directory in memory.
    EmptyDir,
    /// A file of this text.
    File(String),
    /// A directory that stays, or a part of it, which is made when it is missing.
    Directory {
        /// Where.
        path: PathBuf,
        /// Which part.
        subpath: String,
    },
    /// The files of an image, or a part of them.
    Image {
        /// Its layers, lowest first.
        layers: Vec<PathBuf>,
        /// Which part.
        subpath: String,
    },
}

/// [`crate::Limits`], for the wire.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct LaunchLimits {
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes of log on disk.
    pub log_bytes: u64,
}

/// What became of a start, as the supervisor says it and as the exit record keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Status {
    /// [`VERSION`] of the supervisor.
    pub version: u32,
    /// Which start.
    pub attempt: u32,
    /// When the process was started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// What became of it.
    pub state: State,
}

/// The states a supervisor knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum State {
    /// On its way.
    Starting,
    /// The process runs.
    Running,
    /// It ended.
    Exited {
        /// Exit status, or 128 + signal number.
        code: i32,
        /// When.
        at: Timestamp,
        /// What likely caused it.
        #[serde(default)]
        hint: Option<String>,
    },
    /// It could not be started.
    Failed {
        /// Why.
        reason: Refusal,
    },
}

impl State {
    /// Whether nothing runs any more.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Exited { .. } | Self::Failed { .. })
    }
}

/// What the server may ask of a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Command {
    /// Send the stop signal, and SIGKILL when it still runs after the grace.
    Stop {
        /// Milliseconds of grace.
        grace_ms: u64,
    },
    /// The services of the session are others than they were.
    Peers {
        /// `/etc/hosts` from now on.
        hosts: String,
    },
    /// Run another process in the container. From here on this connection is that process's alone, in the frames of
    /// [`exec`].
    Exec {
        /// The command in words.
        command: Vec<String>,
        /// Whether it gets a terminal.
        tty: bool,
    },
}

/// What travels for one process that was asked for: `kind: u8 | length: u32 | bytes`, after the one JSON frame
/// [`exec::Begun`] that says that it begins.
pub(super) mod exec {
    use serde::{Deserialize, Serialize};

    /// Bytes of one frame at most.
    pub(in super::super) const MAX: usize = 64 << 10;
    /// Of kind and length.
    pub(in super::super) const HEAD: usize = 5;

    /// The command runs.
    pub(in super::super) const STARTED: u8 = 0;
    /// Bytes of standard output, or for standard input.
    pub(in super::super) const STANDARD: u8 = 1;
    /// Bytes of standard error.
    pub(in super::super) const ERROR: u8 = 2;
    /// The exit status, in four bytes.
    pub(in super::super) const EXITED: u8 = 3;
    /// Why it could not be started: a refusal in JSON.
    pub(in super::super) const FAILED: u8 = 4;
    /// The end of standard input.
    pub(in super::super) const CLOSE: u8 = 5;
    /// Columns and rows, two bytes each.
    pub(in super::super) const RESIZE: u8 = 6;
    /// SIGKILL.
    pub(in super::super) const KILL: u8 = 7;

    /// The first word of a supervisor that will run it. A status has no such member.
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(in super::super) struct Begun {
        /// Always true.
        pub(in super::super) begun: bool,
    }

    /// A frame's kind and length.
    pub(in super::super) fn head(kind: u8, length: usize) -> [u8; HEAD] {
        let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        [kind, a, b, c, d]
    }

    /// The kind and length of a head; nothing when the length is over its bound.
    pub(in super::super) fn parse(head: [u8; HEAD]) -> Option<(u8, usize)> {
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        (length <= MAX).then_some((kind, length))
    }
}

/// A frame's bytes.
pub(super) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).ok().filter(|_| json.len() <= MAX_FRAME);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a message is too long"))?;
    Ok([&length.to_be_bytes()[..], &json].concat())
}

/// Takes the first whole frame off `buffer`; `None` when it is not whole yet.
pub(super) fn decode<T: DeserializeOwned>(buffer: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some((head, rest)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let message = serde_json::from_slice(body)?;
    buffer.drain(..4 + length);
    Ok(Some(message))
}

/// Reads one whole frame and nothing after it.
pub(super) fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<T> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let length = u32::from_be_bytes(head) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// Writes one frame.
pub(super) fn write<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    to.write_all(&encode(message)?)
}

/// The environment on its way: `NAME=value` strings, each marked whether its value must not appear in the log.
///
/// On the wire: the length of all that follows, then for each variable one byte mark, the length, and the bytes.
#[derive(Debug)]
pub(super) struct Delivery(Zeroizing<Vec<u8>>);

impl Delivery {
    /// Packs an environment.
    pub(super) fn pack(environment: &Environment) -> io::Result<Self> {
        let sizes = environment.0.iter().map(|variable| 6 + variable.name.as_str().len() + variable.value.len());
        let total = sizes.sum::<usize>();
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the environment is too long");
        if total > MAX_DELIVERY {
            return Err(too_long());
        }
        // The one allocation: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 + total));
        bytes.extend_from_slice(&u32::try_from(total).map_err(|_| too_long())?.to_be_bytes());
        for variable in &environment.0 {
            let length = variable.name.as_str().len() + 1 + variable.value.len();
            bytes.push(u8::from(variable.is_secret()));
            bytes.extend_from_slice(&u32::try_from(length).map_err(|_| too_long())?.to_be_bytes());
            bytes.extend_from_slice(variable.name.as_str().as_bytes());
            bytes.push(b'=');
            // Into the buffer that is written to the supervisor's socket and wiped.
            bytes.extend_from_slice(variable.value.expose().as_bytes());
        }
        Ok(Self(bytes))
    }

    /// The bytes to send.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a delivery.
    pub(super) fn receive(mut from: impl Read) -> io::Result<Received> {
        let mut head = [0; 4];
        from.read_exact(&mut head)?;
        let length = u32::from_be_bytes(head) as usize;
        if length > MAX_DELIVERY {
            return Err(damaged());
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        from.read_exact(&mut bytes)?;
        Received::unpack(&bytes)
    }
}

/// A delivery as the supervisor uses it.
#[derive(Default)]
pub(super) struct Received {
    /// `NAME=value` and a NUL, one after the other: what `execve` gets.
    pub block: Zeroizing<Vec<u8>>,
    /// The values that must not appear in the log.
    pub bound: Vec<SecretText>,
}

impl Received {
    fn unpack(mut bytes: &[u8]) -> io::Result<Self> {
        let mut received = Self { block: Zeroizing::new(Vec::with_capacity(bytes.len())), bound: Vec::new() };
        while let Some((&mark, rest)) = bytes.split_first() {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
            let (variable, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(damaged)?;
            let variable = std::str::from_utf8(variable).map_err(|_| damaged())?;
            let (_, value) = variable.split_once('=').filter(|_| !variable.contains('\0')).ok_or_else(damaged)?;
            received.block.extend_from_slice(variable.as_bytes());
            received.block.push(0);
            if mark == 1 {
                received.bound.push(value.into());
            }
            bytes = rest;
        }
        Ok(received)
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the delivery is damaged")
}

#[cfg(test)]
mod tests {
    use meshkeep_core::environment::{Origin, Variable};

    use super::*;

    fn variable(name: &str, value: &str, origin: Origin) -> Variable {
        Variable { name: name.parse().unwrap(), value: value.into(), origin, hides: Vec::new() }
    }

    #[test]
    fn a_delivery_arrives_byte_for_byte() {
        let secret = Origin::Secret("weather".parse().unwrap());
        let environment = Environment(vec![
            variable("EMPTY", "", Origin::Image),
            variable("KEY", "line 1\nline 2 = \"x\"\n", secret),
            variable("PLAIN", "é ' \t", Origin::Manifest),
        ]);
        let sent = Delivery::pack(&environment).unwrap();
        let received = Delivery::receive(sent.bytes()).unwrap();
        assert_eq!(*received.block, "EMPTY=\0KEY=line 1\nline 2 = \"x\"\n\0PLAIN=é ' \t\0".as_bytes());
        assert_eq!(received.bound.len(), 1);
        assert_eq!(received.bound[0].expose(), "line 1\nline 2 = \"x\"\n");
        for cut in 0..sent.bytes().len() {
            assert!(Delivery::receive(&sent.bytes()[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn frames_come_apart_where_they_were_joined() {
        let commands = [Command::Stop { grace_ms: 5 }, Command::Stop { grace_ms: 10_000 }];
        let mut stream = Vec::new();
        for command in &commands {
            stream.extend(encode(command).unwrap());
        }
        let mut buffer = Vec::new();
        let mut seen = Vec::new();
        for byte in stream {
            buffer.push(byte);
            seen.extend(decode::<Command>(&mut buffer).unwrap());
        }
        assert_eq!(seen, commands);
        assert!(buffer.is_empty());
        assert!(decode::<Command>(&mut vec![0xff; 8]).is_err());
    }
}
