//! Which addresses may be dialled.
//!
//! What must stay true: an address inside the operator's own network or machine is never dialled because a stranger's
//! text (a reference, a realm, a redirect) named it. The operator's settings for a host are the allow list.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why `address` is not dialled unless the operator allows it for the host; `None` for a public address.
pub fn refused(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refused_v4(v4),
        IpAddr::V6(v6) => refused_v6(v6),
    }
}

fn refused_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("a loopback address"),
        [169, 254, ..] => Some("a link-local address (cloud metadata lives there)"),
        [10, ..] | [192, 168, ..] => Some("a private address"),
        [172, second, ..] if second & 0xf0 == 16 => Some("a private address"),
        [100, second, ..] if second & 0xc0 == 64 => Some("a carrier-private address"),
        [192, 0, 0, _] => Some("a protocol-assignment address"),
        [198, 18 | 19, ..] => Some("a benchmarking address"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("a documentation address"),
        [255, 255, 255, 255] => Some("the broadcast address"),
        [first, ..] if first >= 224 => Some("a multicast or reserved address"),
        _ => None,
    }
}

fn refused_v6(address: Ipv6Addr) -> Option<&'static str> {
    let s = address.segments();
    if let Some(v4) = embedded_v4(address) {
        return refused_v4(v4);
    }
    if address.is_unspecified() {
        return Some("unspecified");
    }
    if address.is_loopback() {
        return Some("a loopback address");
    }
    match s[0] {
        first if first & 0xfe00 == 0xfc00 => Some("a private address"),
        first if first & 0xffc0 == 0xfe80 => Some("a link-local address"),
        first if first & 0xffc0 == 0xfec0 => Some("a site-local address"),
        first if first & 0xff00 == 0xff00 => Some("a multicast address"),
        0x0064 if s[1] == 0xff9b && s[2] == 1 => Some("a local translation address"),
        0x0100 if s[1..4] == [0, 0, 0] => Some("a discard address"),
        0x2001 if s[1] == 0x0db8 => Some("a documentation address"),
        0x2001 if s[1] == 0 => Some("a Teredo address"),
        // Global unicast is 2000::/3; nothing else is reachable from anywhere.
        first if first & 0xe000 == 0x2000 => None,
        _ => Some("not a global address"),
    }
}

/// The IPv4 address that packets to `address` end at: mapped, compatible, NAT64 (64:ff9b::/96) and 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let low = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, rest] => Some(low(high, rest)),
        [0, 0, 0, 0, 0xffff, 0, high, rest] => Some(low(high, rest)),
        [0, 0, 0, 0, 0, 0, high, rest] if high != 0 => Some(low(high, rest)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, rest] => Some(low(high, rest)),
        [0x2002, high, rest, ..] => Some(low(high, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_attackers_favourites_are_refused() {
        for address in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "169.254.170.2",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "fd00:ec2::254",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "4000::1",
        ] {
            assert!(refused(address.parse().unwrap()).is_some(), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_not() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.167.1.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert_eq!(refused(address.parse().unwrap()), None, "{address}");
        }
    }

    proptest! {
        #[test]
        fn wrapping_an_address_in_ipv6_changes_nothing(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let plain = refused(IpAddr::V4(v4)).is_some();
            prop_assert_eq!(refused(IpAddr::V6(v4.to_ipv6_mapped())).is_some(), plain);
            let [a, b, c, d] = v4.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            prop_assert_eq!(refused(IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low))).is_some(), plain);
            prop_assert_eq!(refused(IpAddr::V6(Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1))).is_some(), plain);
        }

        #[test]
        fn every_private_v4_is_refused(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_unspecified() || v4.is_broadcast() {
                prop_assert!(refused(IpAddr::V4(v4)).is_some());
            }
        }

        #[test]
        fn every_private_v6_is_refused(bits: u128) {
            let v6 = Ipv6Addr::from_bits(bits);
            if v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast() || v6.is_loopback() {
                prop_assert!(refused(IpAddr::V6(v6)).is_some());
            }
        }
    }
}
