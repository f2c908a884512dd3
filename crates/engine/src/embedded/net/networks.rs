//! The sessions' networks of one server: made, found again and removed.
//!
//! Several servers may share a host. Each tells its own bridges by a name made of its directory. The kernel's forwarding
//! is on while there are bridges; what it was before is noted at every bridge, so that whoever removes the last one knows
//! it. The table stays while there are bridges or a server is open: making it takes longer than starting a container.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use meshkeep_core::id::SessionId;
use sha2::{Digest as _, Sha256};

use super::{
    entrance::{Entrances, OpenEntrances},
    error::NetError,
    firewall,
    host::{self, Link},
    link,
    lock::NamespaceLock,
    netlink::Netlink,
    pool::{Ipv4Pool, Prefix},
    records::Records,
    session::SessionNetwork,
    sysctl,
};

/// Forwarding of IPv4 packets between this host's interfaces.
const FORWARDING: &str = "ipv4/ip_forward";

/// The networks of one server's sessions.
pub struct Networks {
    records: Records,
    pool: Ipv4Pool,
    /// What the names of this server's bridges begin with.
    mark: String,
    state: Mutex<State>,
}

struct State {
    sessions: HashMap<SessionId, SessionNetwork>,
    /// Those of which this process saw that their making was completed.
    whole: HashSet<SessionId>,
    entrances: OpenEntrances,
    /// The slice to try first: what was just released is used last, for others may still send to it.
    next: u32,
}

impl Networks {
    /// Opens the records in `dir`, removes what has none, and makes the firewall. With `entrances`, every session's
    /// services reach this server.
    ///
    /// # Errors
    /// No `nft`, a kernel without what the rules need, or a directory that cannot be used.
    pub fn open(dir: PathBuf, pool: Ipv4Pool, entrances: Option<Entrances>) -> Result<Self, NetError> {
        let records = Records::open(dir)?;
        let mark = mark(records.dir())?;
        let _lock = NamespaceLock::acquire()?;
        let sessions = records.load()?;
        let mut netlink = Netlink::route().map_err(NetError::kernel("answer about networks"))?;
        let (mut whole, mut entrances) = (HashSet::new(), OpenEntrances::new(entrances));
        for bridge in bridges(&mut netlink)? {
            match sessions.iter().find(|(_, network)| network.bridge() == bridge.name) {
                // Whether its making was completed is not known. All of it may be repeated.
                Some((id, network)) => {
                    let index = set_up(&mut netlink, network)?;
                    entrances.ensure(*id, network.gateway(), index);
                    whole.insert(*id);
                }
                None if bridge.name.starts_with(&mark) => remove_bridge(&mut netlink, &bridge.name)?,
                None => {}
            }
        }
        firewall::install()?;
        let next = u32::from_str_radix(&mark[2..], 16).unwrap_or_default() % pool.slices();
        Ok(Self { records, pool, mark, state: Mutex::new(State { sessions, whole, entrances, next }) })
    }

    /// The session's network, made when it is not there. After a reboot it may get another slice than before, when the
    /// host has come to use the old one otherwise.
    ///
    /// # Errors
    /// The pool is used up, or the kernel or the disk refused.
    pub fn ensure_session(&self, id: SessionId) -> Result<SessionNetwork, NetError> {
        let mut state = self.state();
        let mut netlink = Netlink::route().map_err(NetError::kernel("answer about networks"))?;
        let known = state.sessions.get(&id).cloned();
        let there = match &known {
            Some(network) => index(&netlink, network.bridge())?.is_some(),
            None => false,
        };
        if let Some(network) = &known
            && there
            && state.whole.contains(&id)
            && firewall::installed()?
        {
            return Ok(network.clone());
        }
        let _lock = NamespaceLock::acquire()?;
        let network = match known {
            Some(network) if there => network,
            known => self.record(&mut netlink, &mut state, id, known)?,
        };
        state.whole.remove(&id);
        if !firewall::installed()? {
            firewall::install()?;
        }
        if !there {
            add_bridge(&mut netlink, &network)?;
        }
        let index = set_up(&mut netlink, &network)?;
        state.entrances.ensure(id, network.gateway(), index);
        state.whole.insert(id);
        Ok(network)
    }

    /// Removes the session's network, with all that is attached to it. One that is not there is no failure.
    ///
    /// # Errors
    /// The kernel or the disk refused; what was done stays done, and the call may be repeated.
    pub fn remove_session(&self, id: SessionId) -> Result<(), NetError> {
        let mut state = self.state();
        state.entrances.remove(id);
        let Some(network) = state.sessions.get(&id) else { return Ok(()) };
        let mut netlink = Netlink::route().map_err(NetError::kernel("answer about networks"))?;
        let _lock = NamespaceLock::acquire()?;
        remove_bridge(&mut netlink, network.bridge())?;
        self.records.remove(id)?;
        state.whole.remove(&id);
        state.sessions.remove(&id);
        Ok(())
    }

    /// Removes the firewall, unless there are sessions of this or another server, whose services live on. To be called
    /// when the server ends; a next call makes it again.
    ///
    /// # Errors
    /// The kernel or `nft` refused.
    pub fn close(&self) -> Result<(), NetError> {
        let _state = self.state();
        let mut netlink = Netlink::route().map_err(NetError::kernel("answer about networks"))?;
        let _lock = NamespaceLock::acquire()?;
        if bridges(&mut netlink)?.is_empty() { firewall::remove() } else { Ok(()) }
    }

    /// Makes the firewall again when someone removed it from under running sessions; says whether it had to.
    ///
    /// # Errors
    /// The kernel or `nft` refused.
    pub fn check_firewall(&self) -> Result<bool, NetError> {
        if self.state().sessions.is_empty() || firewall::installed()? {
            return Ok(false);
        }
        let _lock = NamespaceLock::acquire()?;
        firewall::install().map(|()| true)
    }

    /// A session's network, when it has one here.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<SessionNetwork> {
        self.state().sessions.get(&id).cloned()
    }

    /// The sessions that have a network here.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionId> {
        self.state().sessions.keys().copied().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses the session's network and records it, before anything of it is made.
    fn record(
        &self,
        netlink: &mut Netlink,
        state: &mut State,
        id: SessionId,
        known: Option<SessionNetwork>,
    ) -> Result<SessionNetwork, NetError> {
        let (slot, network) = self.choose(netlink, state, known)?;
        self.records.write(id, &network)?;
        state.sessions.insert(id, network.clone());
        state.next = (slot + 1) % self.pool.slices();
        Ok(network)
    }

    /// A slice that nothing on this host uses: the one that the session had, else the next free one.
    fn choose(
        &self,
        netlink: &mut Netlink,
        state: &State,
        known: Option<SessionNetwork>,
    ) -> Result<(u32, SessionNetwork), NetError> {
        let mut taken = host::taken(netlink).map_err(NetError::kernel("list its networks"))?;
        // A route to more than the whole pool cannot be kept clear of; ours are narrower and win.
        taken.retain(|prefix| prefix.bits >= self.pool.prefix().bits);
        if let Some(network) = known
            && !taken.iter().any(|prefix| prefix.overlaps(network.slice()))
        {
            // The next free one stays the next.
            return Ok(((state.next + self.pool.slices() - 1) % self.pool.slices(), network));
        }
        taken.extend(state.sessions.values().map(SessionNetwork::slice));
        let free = |slice: Prefix| !taken.iter().any(|prefix| prefix.overlaps(slice));
        // Of another pool than today's, the same number means another slice.
        let named = |bridge: &str| state.sessions.values().any(|network| network.bridge() == bridge);
        let slices = self.pool.slices();
        (0..slices)
            .map(|step| (state.next + step) % slices)
            .map(|slot| (slot, self.pool.slice(slot), format!("{}{slot:03x}", self.mark)))
            .find(|(_, slice, bridge)| free(*slice) && !named(bridge))
            .map(|(slot, slice, bridge)| (slot, SessionNetwork::new(bridge, slice)))
            .ok_or_else(|| NetError::PoolExhausted { pool: self.pool.to_string() })
    }
}

/// What the names of a server's bridges begin with: `mk` and five digits of a hash of its directory. The directory's
/// number is part of it, for servers that share a network may see different files under one path.
fn mark(dir: &Path) -> Result<String, NetError> {
    let unreadable = |source: io::Error| NetError::Record { path: dir.to_owned(), what: "read", source };
    let path = fs::canonicalize(dir).map_err(unreadable)?;
    let metadata = fs::metadata(&path).map_err(unreadable)?;
    let mut hash = Sha256::new();
    hash.update(path.as_os_str().as_bytes());
    hash.update(metadata.dev().to_be_bytes());
    hash.update(metadata.ino().to_be_bytes());
    let hash = hash.finalize();
    Ok(format!("mk{:02x}{:02x}{:x}", hash[0], hash[1], hash[2] >> 4))
}

/// The bridges of all servers.
fn bridges(netlink: &mut Netlink) -> Result<Vec<Link>, NetError> {
    let is_bridge = |name: &str| {
        name.len() == 10 && name.strip_prefix("mk").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let mut links = host::links(netlink).map_err(NetError::kernel("list its links"))?;
    links.retain(|link| is_bridge(&link.name));
    Ok(links)
}

fn index(netlink: &Netlink, name: &str) -> Result<Option<u32>, NetError> {
    netlink.index(name).map_err(NetError::kernel(format!("find the link {name}")))
}

/// Makes the bridge, and notes at it whether forwarding was on before any server came.
fn add_bridge(netlink: &mut Netlink, network: &SessionNetwork) -> Result<(), NetError> {
    let name = network.bridge();
    let before = match bridges(netlink)?.into_iter().next() {
        Some(other) => other.note,
        None => before_us(&sysctl::read(FORWARDING)?),
    };
    netlink
        .run([link::add_bridge(name, network.gateway()), link::note(name, &before)])
        .map_err(NetError::kernel(format!("make the bridge {name}")))
}

/// Everything that makes a bridge a session's network; the bridge's index.
fn set_up(netlink: &mut Netlink, network: &SessionNetwork) -> Result<u32, NetError> {
    let name = network.bridge();
    let index = index(netlink, name)?.ok_or_else(|| NetError::NoBridge { bridge: name.to_owned() })?;
    sysctl::write_if_there(&format!("ipv6/conf/{name}/disable_ipv6"), "1")?;
    sysctl::write(&format!("ipv4/conf/{name}/rp_filter"), "1")?;
    sysctl::write(&format!("ipv4/conf/{name}/route_localnet"), "0")?;
    netlink
        .run([link::add_address(index, network.gateway(), network.prefix()), link::up(index)])
        .map_err(NetError::kernel(format!("give the bridge {name} its address")))?;
    if sysctl::read(FORWARDING)? == "0" {
        sysctl::write(FORWARDING, "1")?;
    }
    Ok(index)
}

/// Removes a bridge; with the last one of the host, forwarding becomes what it was.
fn remove_bridge(netlink: &mut Netlink, name: &str) -> Result<(), NetError> {
    let bridges = bridges(netlink)?;
    let Some(bridge) = bridges.iter().find(|bridge| bridge.name == name) else { return Ok(()) };
    // Before the bridge goes, for what forwarding was is known only as long as it is there.
    if bridges.len() == 1 && bridge.note == before_us("0") {
        sysctl::write(FORWARDING, "0")?;
    }
    netlink.run([link::remove(name)]).map_err(NetError::kernel(format!("remove the bridge {name}")))
}

fn before_us(forwarding: &str) -> String {
    format!("meshkeep; before it, ip_forward was {forwarding}")
}
