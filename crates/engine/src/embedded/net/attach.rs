//! A workload's own network namespace, connected to its session's network.

use std::{fs::File, io, os::fd::AsFd as _};

use rustix::thread::UnshareFlags;

use super::{
    error::NetError,
    link,
    netlink::{Netlink, Request},
    session::SessionNetwork,
    sysctl,
};

/// Moves the calling thread into a new network namespace that has `lo` and `eth0`, the latter with the address of
/// `place` on the session's network and the default route. IPv6 is off but for `::1`, and every port may be bound
/// without privilege.
///
/// For a single-threaded process: of several threads only the calling one moves. What a former attempt at this place
/// left is replaced.
///
/// # Errors
/// The session's bridge is gone, or the kernel refused. The thread may be in the new namespace already.
pub fn attach(network: &SessionNetwork, place: u8) -> Result<(), NetError> {
    let address = network.checked_address(place)?;
    let mut outside = Netlink::route().map_err(NetError::kernel("answer about networks"))?;
    let bridge = outside
        .index(network.bridge())
        .map_err(NetError::kernel("find the session's bridge"))?
        .ok_or_else(|| NetError::NoBridge { bridge: network.bridge().to_owned() })?;
    new_namespace()?;
    // Before eth0 is there, so that it never has IPv6; lo keeps it.
    sysctl::write_if_there("ipv6/conf/default/disable_ipv6", "1")?;
    sysctl::write("ipv4/ip_unprivileged_port_start", "0")?;
    let inside = File::open("/proc/thread-self/ns/net").map_err(NetError::kernel("name the new network namespace"))?;
    let port = network.port(place);
    let pair = || link::add_veth(&port, bridge, inside.as_fd(), address);
    connect(&mut outside, &port, pair).map_err(NetError::kernel(format!("make the link {port}")))?;
    configure(network, address).map_err(NetError::kernel(format!("configure {}", link::INSIDE)))?;
    // Both ends are up only now. The bridge has carrier as soon as its first port has.
    for name in [port.as_str(), network.bridge()] {
        outside.settle(name).map_err(NetError::kernel(format!("show the state of {name}")))?;
    }
    Ok(())
}

#[expect(unsafe_code, reason = "rustix marks all of unshare unsafe for the sake of one flag that is not used here")]
fn new_namespace() -> Result<(), NetError> {
    // SAFETY: only CLONE_FILES may surprise safe code (a file descriptor table that is no longer shared); CLONE_NEWNET
    // leaves memory and file descriptors alone.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .map_err(|error| NetError::kernel("make a network namespace")(error.into()))
}

fn connect(outside: &mut Netlink, port: &str, pair: impl Fn() -> Request) -> io::Result<()> {
    match outside.run([pair()]) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // The namespace of a process that died may take a while to go, and its links with it: both ends of a pair
            // go at once when one is removed.
            match outside.run([link::remove(port)]) {
                Err(error) if error.raw_os_error() != Some(rustix::io::Errno::NODEV.raw_os_error()) => Err(error),
                _ => outside.run([pair()]),
            }
        }
        other => other,
    }
}

fn configure(network: &SessionNetwork, address: std::net::Ipv4Addr) -> io::Result<()> {
    let mut inside = Netlink::route()?;
    let eth0 = inside.index(link::INSIDE)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    inside.run([
        link::up(link::LOOPBACK),
        link::add_address(eth0, address, network.prefix()),
        link::up(eth0),
        link::add_default_route(network.gateway()),
    ])
}
