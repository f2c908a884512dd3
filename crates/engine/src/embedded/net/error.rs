//! Why a network could not be made or removed.

use std::{io, path::PathBuf};

/// Why a network could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A record on disk.
    #[error("the network record {} cannot be {what}", path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// What was tried: `read`, `written`, `removed`.
        what: &'static str,
        /// What the file system said.
        source: io::Error,
    },
    /// A request to the kernel.
    #[error("the kernel refused to {what}")]
    Kernel {
        /// What was asked for.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// A kernel setting under `/proc/sys/net`.
    #[error("the kernel setting {name} cannot be {what}")]
    Sysctl {
        /// Its path below `/proc/sys/net`.
        name: String,
        /// What was tried: `read` or `written`.
        what: &'static str,
        /// What the file system said.
        source: io::Error,
    },
    /// `nft` is not on this host.
    #[error("the program `nft` is not on this host, and sessions get no network without a firewall: install nftables")]
    NoFirewallTool,
    /// `nft` could not be run.
    #[error("the program `nft` could not be run")]
    FirewallTool(#[source] io::Error),
    /// `nft` refused the rules.
    #[error("the firewall of the sessions could not be set up: nft says: {said}")]
    Firewall {
        /// Its first line.
        said: String,
    },
    /// All of the pool is in use.
    #[error(
        "no network is left in {pool}: sessions or other networks of this host use it all; \
         set a free private network as `engine.subnet_pool`"
    )]
    PoolExhausted {
        /// The pool.
        pool: String,
    },
    /// The session's bridge is gone.
    #[error("the bridge {bridge} of the session is gone")]
    NoBridge {
        /// Its name.
        bridge: String,
    },
    /// Not a place on a session's network.
    #[error("{place} is not a place on a session's network")]
    Place {
        /// The place asked for.
        place: u8,
    },
}

impl NetError {
    pub(super) fn kernel(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Kernel { what, source }
    }
}
