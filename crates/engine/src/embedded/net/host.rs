//! What this host's network has already: links and the networks that are taken.

use std::{io, net::Ipv4Addr};

use netlink_packet_core::NlasIterator;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressMessage, AddressMessageBuffer},
    link::{LinkMessage, LinkMessageBuffer},
    route::{RouteMessage, RouteMessageBuffer},
};

use super::{
    netlink::{Netlink, malformed},
    pool::Prefix,
};

const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

const IFLA_IFNAME: u16 = 3;
const IFLA_IFALIAS: u16 = 20;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;

/// A link's name and the note at it. Only these two attributes are read: kernels add others all the time.
#[derive(Debug)]
pub(super) struct Link {
    pub name: String,
    pub note: String,
}

/// All links of this network namespace.
pub(super) fn links(netlink: &mut Netlink) -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    netlink.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |body| {
        LinkMessageBuffer::new_checked(body).map_err(|_| malformed())?;
        let mut link = Link { name: String::new(), note: String::new() };
        each_attribute(&body[LINK_HEADER..], |kind, value| match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_IFALIAS => link.note = text(value),
            _ => {}
        })?;
        links.push(link);
        Ok(())
    })?;
    Ok(links)
}

/// All IPv4 networks that a route of this host leads to or that an address of it is in, the default route excepted.
pub(super) fn taken(netlink: &mut Netlink) -> io::Result<Vec<Prefix>> {
    let mut taken = Vec::new();
    let mut routes = RouteMessage::default();
    routes.header.address_family = AddressFamily::Inet;
    netlink.dump(RouteNetlinkMessage::GetRoute(routes), |body| {
        let header = RouteMessageBuffer::new_checked(body).map_err(|_| malformed())?;
        if header.address_family() == u8::from(AddressFamily::Inet) {
            let bits = header.destination_prefix_length();
            push_networks(&body[ROUTE_HEADER..], &[RTA_DST], bits, &mut taken)?;
        }
        Ok(())
    })?;
    let mut addresses = AddressMessage::default();
    addresses.header.family = AddressFamily::Inet;
    netlink.dump(RouteNetlinkMessage::GetAddress(addresses), |body| {
        let header = AddressMessageBuffer::new_checked(body).map_err(|_| malformed())?;
        if header.family() == u8::from(AddressFamily::Inet) {
            let bits = header.prefix_len();
            push_networks(&body[ADDRESS_HEADER..], &[IFA_ADDRESS, IFA_LOCAL], bits, &mut taken)?;
        }
        Ok(())
    })?;
    Ok(taken)
}

fn push_networks(attributes: &[u8], kinds: &[u16], bits: u8, taken: &mut Vec<Prefix>) -> io::Result<()> {
    each_attribute(attributes, |kind, value| {
        if let (true, Ok(octets)) = (kinds.contains(&kind), <[u8; 4]>::try_from(value)) {
            taken.push(Prefix::around(Ipv4Addr::from(octets), bits));
        }
    })
}

fn each_attribute(bytes: &[u8], mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
    for attribute in NlasIterator::new(bytes) {
        let attribute = attribute.map_err(|_| malformed())?;
        each(attribute.kind(), attribute.value());
    }
    Ok(())
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(value)).into_owned()
}
