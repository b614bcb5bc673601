//! The peer of an accepted connection.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The client at the other end of an accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A TCP client, by address and port.
    Tcp(SocketAddr),
    /// A client behind a trusted proxy, which reports only its address.
    Named(IpAddr),
    /// A process of this machine, on a UNIX socket.
    Unix,
}

impl Peer {
    /// Creates the peer of a TCP connection. An IPv4-mapped address `::ffff:a.b.c.d` from a dual-stack socket becomes
    /// the IPv4 address again, so that logs, limits and `X-Forwarded-For` contain only one form.
    #[must_use]
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        Self::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// Creates the peer that a trusted proxy reports.
    #[must_use]
    pub(crate) fn named(address: IpAddr) -> Self {
        Self::Named(address.to_canonical())
    }

    /// The address without the port; `None` for a UNIX socket.
    #[must_use]
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Named(address) => Some(*address),
            Self::Unix => None,
        }
    }

    /// The key for limits per client: the IPv4 address, or the /64 network of an IPv6 address, since a single host
    /// commonly has all 2^64 addresses of it.
    #[must_use]
    pub(crate) fn counted_as(&self) -> Option<IpAddr> {
        match self.ip()? {
            IpAddr::V4(address) => Some(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Some(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Named(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::tcp(address.parse().expect("an address"))
    }

    #[test]
    fn a_mapped_ipv4_address_is_an_ipv4_address() {
        assert_eq!(peer("[::ffff:192.0.2.1]:80"), peer("192.0.2.1:80"));
    }

    #[test]
    fn ipv6_clients_are_counted_by_their_network() {
        assert_eq!(
            peer("[2001:db8:1:2:3::4]:1").counted_as(),
            peer("[2001:db8:1:2:ffff::]:9").counted_as()
        );
        assert_ne!(
            peer("[2001:db8:1:2::]:1").counted_as(),
            peer("[2001:db8:1:3::]:1").counted_as()
        );
    }
}
