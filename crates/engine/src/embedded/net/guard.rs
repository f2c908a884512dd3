//! Keeps the firewall while services run: other programs may empty all of the host's firewall, as the restart of a
//! firewall service does, and then nothing would hold services back.

use std::{io, sync::Arc, time::Duration};

use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, netlink::SocketAddrNetlink, recv, socket_with,
};
use tokio::io::unix::AsyncFd;

use super::{super::sys, error::NetError, networks::Networks};

/// The multicast group of changes of nftables, as a bit.
const NFNLGRP_NFTABLES: u32 = 1 << (7 - 1);

/// When to try again what the kernel or `nft` refused.
const RETRY: Duration = Duration::from_secs(5);

/// Hears of changes of the firewall.
pub struct FirewallGuard {
    changes: AsyncFd<std::os::fd::OwnedFd>,
}

impl FirewallGuard {
    /// Listens from now on, in the network namespace of the calling thread. Called within the runtime.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn new() -> Result<Self, NetError> {
        Self::listen().map_err(NetError::kernel("tell changes of the firewall"))
    }

    fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
        bind(&socket, &SocketAddrNetlink::new(0, NFNLGRP_NFTABLES))?;
        Ok(Self { changes: sys::awaited(socket)? })
    }

    /// Makes the firewall again whenever it was removed under running sessions. Ends only by being dropped.
    pub async fn keep(self, networks: Arc<Networks>) {
        loop {
            let networks = Arc::clone(&networks);
            let kept = tokio::task::spawn_blocking(move || networks.check_firewall()).await;
            match kept {
                Ok(Ok(false)) => self.changed().await,
                Ok(Ok(true)) => tracing::warn!("the firewall of the sessions had been removed; it is there again"),
                Ok(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, cause, "the firewall of the sessions is gone and cannot be made");
                    tokio::time::sleep(RETRY).await;
                }
                // The runtime is going down.
                Err(_) => return,
            }
        }
    }

    /// Returns when something was changed since the last time. What it was does not matter, nor if some of it is lost.
    async fn changed(&self) {
        let Ok(mut ready) = self.changes.readable().await else { return };
        let mut buffer = [0; 8192];
        while !matches!(recv(&self.changes, &mut buffer, RecvFlags::empty()), Err(rustix::io::Errno::WOULDBLOCK)) {}
        ready.clear_ready();
    }
}
