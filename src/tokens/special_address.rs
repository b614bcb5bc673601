//! Special addresses: those of this machine, link-local ones, metadata services of clouds, and addresses that contain
//! another one. General rules about hosts do not apply to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::net::{host_name, is_own_address};

/// Classification of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpecialAddress {
    address: IpAddr,
    kind: Kind,
    /// The range of an IPv6 transition mechanism (RFC 6052, RFC 3056, RFC 4380) that contains the address; the
    /// classification is that of the embedded IPv4 address.
    translated: Option<(Ipv6Addr, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ordinary,
    /// A loopback address.
    Loopback,
    /// Another address of this machine, on which it may offer services that loopback does not have.
    Own,
    /// A link-local or site-local address; clouds have their metadata services there.
    LinkLocal,
    /// Another address of a cloud's metadata service.
    Metadata,
    /// An unspecified address (`0.0.0.0`, which Linux treats as this machine) or a multicast group.
    Nowhere,
}

/// IPv4 metadata services of Alibaba, Azure and Oracle. Those of others, and Amazon's, are link-local.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// IPv6 metadata services of Amazon (with name and time servers, and pod identities), Google, Scaleway and Linode.
const METADATA_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128),
    (Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1), 128),
];

/// Ranges of NAT64 (RFC 6052 §2.1), and of NAT64 in a local network (RFC 8215).
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
const NAT64_LOCAL: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48);
/// Range of 6to4 (RFC 3056 §2).
const SIX_TO_FOUR: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16);
/// Range of Teredo (RFC 4380 §4).
const TEREDO: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32);
/// Range of stateless translation in its first form (RFC 2765 §2.1), `::ffff:0:a.b.c.d`.
const STATELESS: (Ipv6Addr, u8) = (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96);
/// Range of IPv4-compatible addresses, `::a.b.c.d` (RFC 4291 §2.5.5.1).
const COMPATIBLE: (Ipv6Addr, u8) = (Ipv6Addr::UNSPECIFIED, 96);

impl SpecialAddress {
    /// Classifies an address in its canonical form.
    pub(super) fn of(address: IpAddr) -> Self {
        let (kind, translated) = match address {
            IpAddr::V4(address) => (Kind::of_v4(address), None),
            IpAddr::V6(own) => match Kind::of_v6(own) {
                Kind::Ordinary => match translated(own) {
                    Some((range, embedded)) => (worst(&embedded), Some(range)),
                    None => (Kind::Ordinary, None),
                },
                other => (other, None),
            },
        };
        Self {
            address,
            kind,
            translated,
        }
    }

    /// True for an address without special meaning.
    pub(super) fn is_ordinary(self) -> bool {
        self.kind == Kind::Ordinary && self.translated.is_none()
    }

    /// True if the address is this machine, and `host` is one of its own names.
    pub(super) fn is_called(self, host: &str) -> bool {
        match self.kind {
            Kind::Loopback => host.eq_ignore_ascii_case("localhost"),
            Kind::Own => host_name().is_some_and(|name| host.eq_ignore_ascii_case(&name)),
            _ => false,
        }
    }

    /// True if a rule for a network applies to the address. `0.0.0.0/0` covers ordinary networks, but not this
    /// machine, metadata services, or the targets of transition mechanisms: those need a rule of their own, and
    /// another address of this machine needs a rule that names it.
    pub(super) fn is_meant_by(self, network: IpAddr, bits: u8) -> bool {
        if !is_within(self.address, network, bits) {
            return false;
        }
        if let Some((range, longer)) = self.translated
            && (bits < longer || !is_within(network, range.into(), longer))
        {
            return false;
        }
        match self.kind {
            Kind::Ordinary => true,
            Kind::Nowhere => false,
            Kind::Own => bits == if network.is_ipv4() { 32 } else { 128 },
            kind => kind == Self::of(network).kind,
        }
    }
}

impl Kind {
    fn of_v4(address: Ipv4Addr) -> Self {
        if address.is_loopback() {
            Self::Loopback
        } else if address.is_link_local() {
            Self::LinkLocal
        } else if METADATA_V4.contains(&address) {
            Self::Metadata
        } else if matches!(address.octets(), [0 | 224..=239 | 255, ..]) {
            Self::Nowhere
        } else if is_own_address(address.into()) {
            Self::Own
        } else {
            Self::Ordinary
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let is_in =
            |(network, bits): (Ipv6Addr, u8)| is_within(address.into(), network.into(), bits);
        if address.is_loopback() {
            Self::Loopback
        } else if address.is_unspecified() || address.is_multicast() {
            Self::Nowhere
        } else if address.is_unicast_link_local() || address.segments()[0] & 0xffc0 == 0xfec0 {
            Self::LinkLocal
        } else if METADATA_V6.into_iter().any(is_in) {
            Self::Metadata
        } else if is_own_address(address.into()) {
            Self::Own
        } else {
            Self::Ordinary
        }
    }
}

/// The transition range of an address, and the IPv4 addresses that it may embed.
fn translated(address: Ipv6Addr) -> Option<((Ipv6Addr, u8), Vec<Ipv4Addr>)> {
    let is_in = |(network, bits): (Ipv6Addr, u8)| is_within(address.into(), network.into(), bits);
    let bits = address.to_bits();
    // The IPv4 address that ends so many bits before the end.
    let four = |behind: u32| Ipv4Addr::from_bits((bits >> behind & 0xffff_ffff) as u32);
    if is_in(NAT64) {
        Some((NAT64, vec![four(0)]))
    } else if is_in(NAT64_LOCAL) {
        Some((NAT64_LOCAL, local_nat64(bits)))
    } else if is_in(SIX_TO_FOUR) {
        Some((SIX_TO_FOUR, vec![four(80)]))
    } else if is_in(TEREDO) {
        let client = Ipv4Addr::from_bits(!four(0).to_bits());
        Some((TEREDO, vec![four(64), client]))
    } else if is_in(STATELESS) {
        Some((STATELESS, vec![four(0)]))
    } else if is_in(COMPATIBLE) {
        Some((COMPATIBLE, vec![four(0)]))
    } else {
        None
    }
}

/// All IPv4 addresses that an address in `64:ff9b:1::/48` may contain: each network chooses a prefix of 48, 56, 64 or
/// 96 bits; the IPv4 address follows, around the eight bits in the middle, with zeros behind (RFC 6052 §2.2).
fn local_nat64(bits: u128) -> Vec<Ipv4Addr> {
    // Without those eight bits, which are zero.
    let joined = (bits >> 64 << 56) | (bits & 0x00ff_ffff_ffff_ffff);
    let mut found: Vec<_> = [48, 56, 64]
        .into_iter()
        .map(|prefix| 120 - prefix - 32)
        .filter(|behind| joined & ((1 << behind) - 1) == 0)
        .map(|behind| Ipv4Addr::from_bits((joined >> behind & 0xffff_ffff) as u32))
        .collect();
    let last = Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32);
    if found.is_empty() || !last.is_unspecified() {
        found.push(last);
    }
    found
}

/// The first kind that is not ordinary, if there is one.
fn worst(addresses: &[Ipv4Addr]) -> Kind {
    let mut kinds = addresses.iter().map(|address| Kind::of_v4(*address));
    kinds
        .find(|kind| *kind != Kind::Ordinary)
        .unwrap_or(Kind::Ordinary)
}

/// True if the address is within a network of this prefix length.
pub(super) fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    IpNet::new(network, bits).is_ok_and(|network| network.contains(&address))
}
