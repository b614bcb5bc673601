//! Targets that a source of tokens may name: hosts with ports, and directories of sockets. Resolves and opens
//! nothing.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// One entry of `allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetRule {
    /// `host:port`: ports of hosts.
    Tcp {
        /// The permitted hosts.
        hosts: Hosts,
        /// The permitted ports.
        ports: RangeInclusive<u16>,
    },
    /// `unix:/path`: this socket, or a socket below this directory. Absolute, without `..`.
    Unix(PathBuf),
}

/// The hosts of a [`TargetRule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// `*`: any name and any address, without those of this machine and of its link.
    Any,
    /// `vm.example.org`: this name with any address except those of this machine and its link.
    Name(String),
    /// `*.example.org`: any name below this one.
    Below(String),
    /// `10.0.0.0/8` or one address: the addresses themselves, and names that resolve to them.
    Network(IpAddr, u8),
}

impl TargetRule {
    /// Reads an entry; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let sound = path.starts_with('/')
                && !path.contains('\0')
                && !path.split('/').any(|part| part == "..");
            return if sound {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err(format!(
                    r#""{text}" is not an absolute path; write for example "unix:/run/consoles""#
                ))
            };
        }
        let unfit = || {
            format!(
                "\"{text}\" is not \"host:ports\"; write for example \"10.0.0.0/8:5900-5999\", \
                 \"*.example.org:5900\", \"[fd00::/8]:*\" or \"unix:/run/consoles\""
            )
        };
        let (hosts, ports) = text.rsplit_once(':').ok_or_else(unfit)?;
        Ok(Self::Tcp {
            hosts: Hosts::parse(hosts).ok_or_else(unfit)?,
            ports: parse_ports(ports).ok_or_else(unfit)?,
        })
    }
}

impl Hosts {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let bracketed = text
            .strip_prefix('[')
            .map(|rest| rest.strip_suffix(']').unwrap_or_default());
        let (address, bits) = match bracketed.unwrap_or(text).split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (bracketed.unwrap_or(text), None),
        };
        if let Ok(address) = address.parse::<IpAddr>() {
            // An IPv6 address needs its brackets here, or its last group would be read as a port.
            if address.is_ipv6() != bracketed.is_some() {
                return None;
            }
            let longest = if address.is_ipv6() { 128 } else { 32 };
            let bits = bits.map_or(Some(longest), |bits| bits.parse().ok())?;
            return (bits <= longest).then_some(Self::Network(address, bits));
        }
        if bits.is_some() || bracketed.is_some() {
            return None;
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        Some(if below {
            Self::Below(name)
        } else {
            Self::Name(name)
        })
    }
}

/// Reads `5900`, `5900-5999` or `*`.
fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        port.filter(|_| digits)
    };
    if text == "*" {
        return Some(1..=u16::MAX);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

/// Reads the same in a list of ports of consoles.
pub(super) fn parse_port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let unfit = || format!("{text:?} is no port and no range; write for example \"5900-5999\"");
    parse_ports(text).ok_or_else(unfit)
}

impl fmt::Display for TargetRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { hosts, ports } => {
                write!(f, "{hosts}:{}", ports.start())?;
                if ports.start() == ports.end() {
                    Ok(())
                } else {
                    write!(f, "-{}", ports.end())
                }
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Network(address @ IpAddr::V6(_), bits) => write!(f, "[{address}/{bits}]"),
            Self::Network(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_hosts_with_ports_or_a_path() {
        for (text, shown) in [
            ("10.0.0.0/8:5900-5999", "10.0.0.0/8:5900-5999"),
            ("192.0.2.1:5900", "192.0.2.1/32:5900"),
            ("[fd00::/8]:*", "[fd00::/8]:1-65535"),
            ("[::1]:5900", "[::1/128]:5900"),
            ("VM.Example.org:22", "vm.example.org:22"),
            ("*.example.org:5900", "*.example.org:5900"),
            ("*:5900", "*:5900"),
            ("unix:/run/consoles", "unix:/run/consoles"),
        ] {
            let rule = TargetRule::parse(text).expect(text);
            assert_eq!(rule.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_rule_is_told_with_an_example() {
        for text in [
            "",
            "*",
            "host",
            "host:",
            ":80",
            "host:0",
            "host:9-1",
            "host:1-70000",
            "host:+1",
            "10.0.0.0/33:1",
            "10.0.0.0/x:1",
            "host/8:1",
            "::1:80",
            "[10.0.0.1]:80",
            "[::1:80",
            "[a]:80",
            "*.:80",
            "a b:80",
            "unix:",
            "unix:run",
            "unix:/run/../etc",
        ] {
            let said = TargetRule::parse(text).expect_err(text);
            assert!(said.contains("for example"), "{said}");
        }
    }
}
