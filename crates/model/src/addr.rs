//! Addresses in the one shape that the maps, the tables and the tests use.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address of either family as 16 bytes in network order; IPv4 is `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Addr(pub [u8; 16]);

impl Addr {
    /// The address as the family it belongs to.
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.0).to_canonical()
    }

    /// Whether this is an IPv4 address in its mapped form.
    pub fn is_ipv4(self) -> bool {
        matches!(self.ip(), IpAddr::V4(_))
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(ip: Ipv4Addr) -> Self {
        Addr(ip.to_ipv6_mapped().octets())
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(ip: Ipv6Addr) -> Self {
        Addr(ip.octets())
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_mapped_and_comes_back_as_ipv4() {
        let addr = Addr::from(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(addr.0[10..], [0xff, 0xff, 10, 0, 0, 1]);
        assert_eq!(addr.ip(), IpAddr::from([10, 0, 0, 1]));
        assert!(addr.is_ipv4());
        assert!(!Addr::from(Ipv6Addr::LOCALHOST).is_ipv4());
    }
}
