//! The requests that make, change and remove links, addresses and routes.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsRawFd, BorrowedFd},
};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};

use super::netlink::Request;

/// Index of `lo` in every network namespace.
pub(super) const LOOPBACK: u32 = 1;

/// Name of a service's interface.
pub(super) const INSIDE: &str = "eth0";

const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

/// Makes a bridge, down, whose hardware address does not change with its ports.
pub(super) fn add_bridge(name: &str, gateway: Ipv4Addr) -> Request {
    let mut link = LinkMessage::default();
    link.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Address(hardware_address(gateway)),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
    ];
    Request { message: RouteNetlinkMessage::NewLink(link), flags: NEW }
}

/// Notes `text` at a link; it stays as long as the link.
pub(super) fn note(name: &str, text: &str) -> Request {
    let mut link = LinkMessage::default();
    link.attributes = vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::IfAlias(text.to_owned())];
    Request { message: RouteNetlinkMessage::SetLink(link), flags: 0 }
}

/// Sets a link up.
pub(super) fn up(index: u32) -> Request {
    let mut link = LinkMessage::default();
    link.header.index = index;
    set_up(&mut link);
    Request { message: RouteNetlinkMessage::SetLink(link), flags: 0 }
}

/// Removes a link.
pub(super) fn remove(name: &str) -> Request {
    let mut link = LinkMessage::default();
    link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    Request { message: RouteNetlinkMessage::DelLink(link), flags: 0 }
}

/// Makes a veth pair: `port`, up, on the bridge, and [`INSIDE`] in the network namespace `inside`, which the kernel does
/// not set up together with the pair.
pub(super) fn add_veth(port: &str, bridge: u32, inside: BorrowedFd<'_>, address: Ipv4Addr) -> Request {
    let mut peer = LinkMessage::default();
    peer.attributes = vec![
        LinkAttribute::IfName(INSIDE.to_owned()),
        LinkAttribute::Address(hardware_address(address)),
        LinkAttribute::NetNsFd(inside.as_raw_fd()),
    ];
    let mut link = LinkMessage::default();
    set_up(&mut link);
    link.attributes = vec![
        LinkAttribute::IfName(port.to_owned()),
        LinkAttribute::Controller(bridge),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ];
    Request { message: RouteNetlinkMessage::NewLink(link), flags: NEW }
}

/// Gives a link an address (which it may have already), and with it the route to that address's network.
pub(super) fn add_address(index: u32, address: Ipv4Addr, bits: u8) -> Request {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.index = index;
    message.header.prefix_len = bits;
    message.attributes =
        vec![AddressAttribute::Local(IpAddr::V4(address)), AddressAttribute::Address(IpAddr::V4(address))];
    Request { message: RouteNetlinkMessage::NewAddress(message), flags: NLM_F_CREATE | NLM_F_REPLACE }
}

/// The route to everywhere else.
pub(super) fn add_default_route(gateway: Ipv4Addr) -> Request {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet(gateway))];
    Request { message: RouteNetlinkMessage::NewRoute(message), flags: NEW }
}

fn set_up(link: &mut LinkMessage) {
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
}

/// A locally administered address that goes with the IPv4 address: neighbours that remember it are right also after
/// the service restarted.
fn hardware_address(address: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![0x02, 0x6b];
    bytes.extend_from_slice(&address.octets());
    bytes
}
