//! One session's network, as it is recorded and handed to the workloads' supervisors.

use std::net::Ipv4Addr;

use meshkeep_core::plan::MAX_SERVICES;
use serde::{Deserialize, Serialize};

use super::{
    error::NetError,
    pool::{Prefix, SLICE_BITS},
};

// Gateway, network and broadcast addresses leave 61 hosts of a /26.
const _: () = assert!(MAX_SERVICES <= 61);

/// One session's network: a bridge, and a /26 whose first host is the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionNetwork {
    bridge: String,
    gateway: Ipv4Addr,
    prefix: u8,
}

impl SessionNetwork {
    pub(super) fn new(bridge: String, slice: Prefix) -> Self {
        let gateway = Ipv4Addr::from_bits(slice.network.to_bits() + 1);
        Self { bridge, gateway, prefix: SLICE_BITS }
    }

    /// Name of the bridge.
    #[must_use]
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// Address of the bridge: the services' default route.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// How many bits all addresses of this network share.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Address of the service at `place`, as [`meshkeep_core::plan::places`] gave it.
    #[must_use]
    pub fn address(&self, place: u8) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.gateway.to_bits().saturating_add(1 + u32::from(place)))
    }

    /// The same for a place that nobody vouches for.
    pub(super) fn checked_address(&self, place: u8) -> Result<Ipv4Addr, NetError> {
        if usize::from(place) < MAX_SERVICES { Ok(self.address(place)) } else { Err(NetError::Place { place }) }
    }

    pub(super) fn slice(&self) -> Prefix {
        Prefix::around(self.gateway, self.prefix)
    }

    /// Name of the host's end of the veth pair at `place`.
    pub(super) fn port(&self, place: u8) -> String {
        format!("{}-{place}", self.bridge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::net::Ipv4Pool;

    #[test]
    fn places_are_addresses_within_the_slice() {
        let pool = Ipv4Pool::default();
        let network = SessionNetwork::new("mk0123456a".to_owned(), pool.slice(1));
        assert_eq!(network.gateway(), Ipv4Addr::new(10, 213, 0, 65));
        assert_eq!(network.address(0), Ipv4Addr::new(10, 213, 0, 66));
        assert_eq!(network.checked_address(59).unwrap(), Ipv4Addr::new(10, 213, 0, 125));
        assert!(matches!(network.checked_address(60), Err(NetError::Place { place: 60 })));
        assert!(network.port(59).len() <= 15);
        assert_eq!(network.slice(), pool.slice(1));
    }
}
