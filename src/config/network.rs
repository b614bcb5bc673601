//! A network of clients or proxies: `192.0.2.0/24`, one address, or `unix`.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The addresses of a network; the bits beyond its prefix are zero.
    Ip(IpNet),
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
        let written = IpNet::new(address, length).map_err(|_| wrong())?;
        let network = written.trunc();
        if network != written {
            // 10.1.2.3/8 may mean one of two things.
            return Err(format!(
                r#""{text}" has bits beyond its length; write "{network}", or "{address}""#
            ));
        }
        Ok(Self::Ip(network))
    }

    /// True if the network contains the address; `None` is a program of this machine.
    #[must_use]
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::Unix, None) => true,
            (Self::Ip(network), Some(peer)) => network.contains(&peer),
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(network) => network.fmt(f),
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
