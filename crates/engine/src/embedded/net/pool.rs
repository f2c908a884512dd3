//! The private network that sessions' networks are cut from.

use std::{fmt, net::Ipv4Addr, str::FromStr};

/// Bits of a session's network: a gateway and 61 further hosts.
pub(super) const SLICE_BITS: u8 = 26;

/// Slices used of one pool at most: three hexadecimal digits in a bridge's name.
const MAX_SLICES: u32 = 1 << 12;

/// The text is not a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Not `a.b.c.d/n`.
    #[error("is not an IPv4 network such as 10.213.0.0/16")]
    Syntax,
    /// Bits are set behind the prefix.
    #[error("has bits set behind its prefix")]
    HostBits,
    /// Not within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.
    #[error("is not within a private network (10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16)")]
    NotPrivate,
    /// Has no room for one session.
    #[error("is too small: a session takes a /26")]
    TooSmall,
}

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    /// Its first address.
    pub network: Ipv4Addr,
    /// How many bits all its addresses share.
    pub bits: u8,
}

impl Prefix {
    /// The network of `bits` bits that `address` lies in.
    pub fn around(address: Ipv4Addr, bits: u8) -> Self {
        let bits = bits.min(32);
        Self { network: Ipv4Addr::from_bits(address.to_bits() & mask(bits)), bits }
    }

    /// Whether the two share an address.
    pub fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.bits.min(other.bits));
        self.network.to_bits() & mask == other.network.to_bits() & mask
    }
}

fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

/// A private IPv4 network that is sliced into one /26 per session; `10.213.0.0/16` by default.
///
/// Of a pool larger than a /14 only the first 4,096 slices are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Pool(Prefix);

impl Ipv4Pool {
    /// How many sessions fit.
    #[must_use]
    pub fn slices(&self) -> u32 {
        1_u32.checked_shl(u32::from(SLICE_BITS - self.0.bits)).map_or(MAX_SLICES, |slices| slices.min(MAX_SLICES))
    }

    pub(super) fn slice(&self, slot: u32) -> Prefix {
        let first = self.0.network.to_bits() + (slot << (32 - SLICE_BITS));
        Prefix { network: Ipv4Addr::from_bits(first), bits: SLICE_BITS }
    }

    pub(super) fn prefix(&self) -> Prefix {
        self.0
    }
}

impl Default for Ipv4Pool {
    fn default() -> Self {
        Self(Prefix { network: Ipv4Addr::new(10, 213, 0, 0), bits: 16 })
    }
}

impl FromStr for Ipv4Pool {
    type Err = PoolError;

    fn from_str(text: &str) -> Result<Self, PoolError> {
        let (address, bits) = text.split_once('/').ok_or(PoolError::Syntax)?;
        let network: Ipv4Addr = address.parse().map_err(|_| PoolError::Syntax)?;
        let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits: u8 = bits.parse().ok().filter(|bits| digits && *bits <= 32).ok_or(PoolError::Syntax)?;
        let prefix = Prefix::around(network, bits);
        if prefix.network != network {
            return Err(PoolError::HostBits);
        }
        let last = Ipv4Addr::from_bits(network.to_bits() | !mask(bits));
        if !network.is_private() || !last.is_private() || network.octets()[0] != last.octets()[0] {
            return Err(PoolError::NotPrivate);
        }
        if bits > SLICE_BITS {
            return Err(PoolError::TooSmall);
        }
        Ok(Self(prefix))
    }
}

impl fmt::Display for Ipv4Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.network, self.0.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_private_networks_with_room_for_a_session() {
        for (text, slices) in
            [("10.213.0.0/16", 1024), ("192.168.7.64/26", 1), ("172.16.0.0/12", 4096), ("10.0.0.0/8", 4096)]
        {
            let pool: Ipv4Pool = text.parse().unwrap();
            assert_eq!((pool.slices(), pool.to_string().as_str()), (slices, text));
        }
        for (text, why) in [
            ("10.213.0.0", PoolError::Syntax),
            ("10.213.0/16", PoolError::Syntax),
            ("10.213.0.0/", PoolError::Syntax),
            ("10.213.0.0/+16", PoolError::Syntax),
            ("10.213.0.0/33", PoolError::Syntax),
            ("10.213.0.0/300", PoolError::Syntax),
            ("fd00::/64", PoolError::Syntax),
            ("10.213.1.0/16", PoolError::HostBits),
            ("8.8.8.0/24", PoolError::NotPrivate),
            ("0.0.0.0/0", PoolError::NotPrivate),
            ("10.0.0.0/7", PoolError::NotPrivate),
            ("192.168.0.0/15", PoolError::NotPrivate),
            ("169.254.0.0/16", PoolError::NotPrivate),
            ("10.213.0.0/27", PoolError::TooSmall),
        ] {
            assert_eq!(text.parse::<Ipv4Pool>(), Err(why), "{text}");
        }
    }

    #[test]
    fn slices_follow_each_other_and_do_not_overlap() {
        let pool = Ipv4Pool::default();
        assert_eq!(pool.slice(0).network, Ipv4Addr::new(10, 213, 0, 0));
        assert_eq!(pool.slice(5).network, Ipv4Addr::new(10, 213, 1, 64));
        assert_eq!(pool.slice(1023).network, Ipv4Addr::new(10, 213, 255, 192));
        assert!(!pool.slice(4).overlaps(pool.slice(5)));
        assert!(pool.slice(5).overlaps(Prefix::around(Ipv4Addr::new(10, 213, 1, 65), 32)));
        assert!(pool.slice(5).overlaps(Prefix::around(Ipv4Addr::new(9, 9, 9, 9), 0)));
    }
}
