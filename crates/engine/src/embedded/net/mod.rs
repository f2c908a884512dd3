//! Networks of sessions: one bridge per session, one veth pair per workload, one firewall for all of them.
//!
//! Owns: the addresses of sessions, their links and the table `inet meshkeep`, whose rules go by the names of bridges
//! (`mk…`), so that several servers on one host share it.
//! What must stay true: a service reaches the services of its own session and, through NAT, the world outside; never
//! another session, the host (but for meshkeep's own port at the session's gateway, see `entrance`), its loopback or a
//! metadata address. Nothing outside begins a connection to a service. A record is written before its bridge exists, and everything else that outlives a crash can be told from the links
//! themselves, so that the next start finds all of it.
//!
//! Within one session services may pretend to be each other (ARP, source addresses): they share one bridge.
//! Everything here works in the network namespace of the calling thread, and blocks, [`FirewallGuard::keep`] excepted.

mod attach;
mod carrier;
mod entrance;
mod error;
mod firewall;
mod guard;
mod host;
mod link;
mod lock;
mod netlink;
mod networks;
mod pool;
mod records;
mod session;
mod sysctl;

pub use attach::attach;
pub use entrance::{Entrance, Entrances, SERVER_NAME};
pub use error::NetError;
pub use guard::FirewallGuard;
pub use networks::Networks;
pub use pool::{Ipv4Pool, PoolError};
pub use session::SessionNetwork;
