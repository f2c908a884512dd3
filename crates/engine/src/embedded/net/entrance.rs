//! The one address of meshkeep itself that services reach: their session's gateway, at the server's port.
//!
//! Owns: the listening sockets at gateways. Who serves them is told through a channel and knows nothing of networks.
//! What must stay true: the firewall's rule names no port. It lets a service through to a socket that is bound to the
//! gateway of that very session and is transparent, which takes CAP_NET_ADMIN and which no ordinary server asks for. So
//! nothing else of the host is reached, whatever listens there on all addresses, and the rule needs no change with
//! sessions, servers and ports. While no server runs there is no such socket, and packets are dropped. The socket has
//! only what comes in by the session's bridge: the host's neighbours, who may send to any of its addresses, do not reach
//! it, also when there is no firewall.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::fd::AsFd as _,
};

use meshkeep_core::id::SessionId;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::sys;

/// The server's name within every session. A service of this name keeps its address and gets no name: what services tell
/// the server must not reach one of them.
pub const SERVER_NAME: &str = "meshkeep";

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A listening socket that does not block, and what is cancelled when its session has ended.
pub type Entrance = (TcpListener, CancellationToken);

/// Where the server wants to be reached by services, and whom to tell of each new place.
#[derive(Clone, Debug)]
pub struct Entrances {
    port: u16,
    made: mpsc::UnboundedSender<Entrance>,
}

impl Entrances {
    /// One at this port of every session's gateway. They come out of the second part, those of adopted sessions too.
    #[must_use]
    pub fn new(port: u16) -> (Self, mpsc::UnboundedReceiver<Entrance>) {
        let (made, arrivals) = mpsc::unbounded_channel();
        (Self { port, made }, arrivals)
    }

    fn open(&self, gateway: Ipv4Addr, bridge: u32) -> io::Result<Open> {
        let listener = listener(SocketAddrV4::new(gateway, self.port), bridge)?;
        let closed = CancellationToken::new();
        // Nobody serves any more only when the server is about to end.
        let _ = self.made.send((listener, closed.clone()));
        Ok(Open { at: (gateway, bridge), _until_dropped: closed.drop_guard() })
    }
}

/// Those that are open.
pub(super) struct OpenEntrances {
    wanted: Option<Entrances>,
    open: HashMap<SessionId, Open>,
}

struct Open {
    at: (Ipv4Addr, u32),
    _until_dropped: DropGuard,
}

impl OpenEntrances {
    pub fn new(wanted: Option<Entrances>) -> Self {
        Self { wanted, open: HashMap::new() }
    }

    /// Opens the session's, unless it is, at the bridge of this index. A session without one is still of use, so that is no
    /// failure of its launch.
    pub fn ensure(&mut self, id: SessionId, gateway: Ipv4Addr, bridge: u32) {
        let Some(wanted) = &self.wanted else { return };
        if self.open.get(&id).is_some_and(|open| open.at == (gateway, bridge)) {
            return;
        }
        self.open.remove(&id);
        match wanted.open(gateway, bridge) {
            Ok(open) => drop(self.open.insert(id, open)),
            Err(error) => tracing::warn!(
                session = %id, address = %gateway, port = wanted.port, %error,
                "the session's services cannot reach this server; if another program has the port, give another one with `--listen`"
            ),
        }
    }

    pub fn remove(&mut self, id: SessionId) {
        self.open.remove(&id);
    }
}

fn listener(address: SocketAddrV4, bridge: u32) -> io::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    // Restarts do not wait for the kernel to forget old connections.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // A server that listens on all addresses has the port itself, and shares it with this socket.
    sockopt::set_socket_reuseport(&socket, true)?;
    sys::set_transparent(socket.as_fd())?;
    sys::bind_to_interface(socket.as_fd(), bridge)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}
