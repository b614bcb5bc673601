//! A network of clients or proxies: `192.0.2.0/24`, one address, or `unix`.

use std::fmt;
use std::net::IpAddr;

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The addresses that share the first `length` bits with this one.
    Ip {
        /// The address, the rest of its bits zero.
        address: IpAddr,
        /// Prefix length: 0 to 32, or to 128.
        length: u8,
    },
    /// Programs of this machine, on a UNIX socket.
    Unix,
}

impl Network {
    /// Reads an address, `address/length` or `unix`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let wrong = || {
            format!(
                r#""{text}" is not a network; write an address, "192.0.2.0/24", "2001:db8::/32" or "unix""#
            )
        };
        let (address, length) = text
            .split_once('/')
            .map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
        };
        if length > most {
            return Err(wrong());
        }
        let network = first_bits(address, length);
        if network != address {
            // Whoever wrote 10.1.2.3/8 meant one of two things.
            return Err(format!(
                r#""{text}" has bits beyond its length; write "{network}/{length}", or "{address}""#
            ));
        }
        Ok(Self::Ip { address, length })
    }

    /// True if the network contains the address; `None` is a program of this machine.
    #[must_use]
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::Unix, None) => true,
            (Self::Ip { address, length }, Some(peer)) => {
                peer.is_ipv4() == address.is_ipv4() && first_bits(peer, *length) == *address
            }
            _ => false,
        }
    }
}

/// An address without its last bits.
fn first_bits(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let beyond = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            IpAddr::V4((address.to_bits() & !beyond).into())
        }
        IpAddr::V6(address) => {
            let beyond = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            IpAddr::V6((address.to_bits() & !beyond).into())
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip { address, length } => write!(f, "{address}/{length}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_networks_it_shares_the_bits_with() {
        for (network, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "::1", true),
            ("unix", "127.0.0.1", false),
        ] {
            let parsed = Network::parse(network).expect(network);
            let address = address.parse().expect(address);
            assert_eq!(parsed.contains(Some(address)), expected, "{network}");
        }
        assert!(Network::Unix.contains(None));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "x",
            "192.0.2.0/33",
            "::/129",
            "192.0.2.1/24",
            "192.0.2.0/",
            "192.0.2.0/+8",
            "/8",
            "192.0.2/24",
            "localhost",
        ] {
            assert!(Network::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
