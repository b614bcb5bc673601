//! The names in a certificate, and matching of hosts against them (RFC 6125 §6.4, RFC 2818 §3.1).
//!
//! Independent of files, keys and handshakes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::config::HostPattern;

/// The host names, wildcards and addresses of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateNames {
    /// Exact names such as `example.org`, in lower case, without a trailing dot.
    exact: BTreeSet<String>,
    /// Wildcards: `.example.org` for `*.example.org`.
    wildcards: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl CertificateNames {
    /// Reads the subject alternative names, or the common name if there are none: browsers ignore the common name, but
    /// programs that were configured to trust such a certificate still use it.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut names = Self::default();
        if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
            for name in &alternative.value.general_names {
                match name {
                    GeneralName::DNSName(name) => names.add(name),
                    GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                    _ => {}
                }
            }
        }
        if names.is_empty() {
            for name in certificate.subject().iter_common_name() {
                names.add(name.as_str().unwrap_or_default());
            }
        }
        names
    }

    /// Takes names from the configuration, already validated, in place of those in the certificate.
    pub(super) fn written(list: &[String]) -> Self {
        let mut names = Self::default();
        for name in list {
            names.add(name);
        }
        names
    }

    /// True if a client that requests `host` accepts a certificate with these names.
    ///
    /// `host` is a host name or an address, without a port; an IPv6 address may be in brackets, a name may end in a
    /// dot. Case does not matter. A wildcard matches exactly one label.
    #[must_use]
    pub(crate) fn covers(&self, host: &str) -> bool {
        if let Some(address) = parse_address(host) {
            return self.addresses.contains(&address);
        }
        let host = normal(host);
        self.exact.contains(&host)
            || wildcard_key(&host).is_some_and(|key| self.wildcards.contains(key))
    }

    /// True if there are no names.
    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty() && self.addresses.is_empty()
    }

    /// The exact names, in lower case.
    pub(super) fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(String::as_str)
    }

    /// The keys of the wildcards, as [`wildcard_key`] makes them.
    pub(super) fn wildcards(&self) -> impl Iterator<Item = &str> {
        self.wildcards.iter().map(String::as_str)
    }

    /// Adds a name. An invalid host name is ignored.
    fn add(&mut self, name: &str) {
        match HostPattern::parse(&normal(name)) {
            Ok(HostPattern::Wildcard(key)) => {
                self.wildcards.insert(key);
            }
            Ok(HostPattern::Exact(name)) => match parse_address(&name) {
                Some(address) => {
                    self.addresses.insert(address);
                }
                None => {
                    self.exact.insert(name);
                }
            },
            Err(_) => {}
        }
    }
}

/// Lists the names: `a.example, *.b.example, 127.0.0.1`.
impl fmt::Display for CertificateNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.exact.iter().cloned();
        let wildcards = self.wildcards.iter().map(|key| format!("*{key}"));
        let addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<String> = exact.chain(wildcards).chain(addresses).collect();
        f.write_str(&all.join(", "))
    }
}

/// Normal form of a name for storage and comparison: lower case, no final dot.
pub(super) fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Key of the wildcard that covers `host`: `.example.org` for `www.example.org`.
pub(super) fn wildcard_key(host: &str) -> Option<&str> {
    let dot = host.find('.').filter(|&dot| dot > 0)?;
    host.get(dot..)
}

/// Parses an address, with or without brackets. An IPv4-mapped address becomes the IPv4 address, since clients have the
/// mapped form on a dual-stack socket.
fn parse_address(text: &str) -> Option<IpAddr> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = inner.unwrap_or(text).parse().ok()?;
    Some(address.to_canonical())
}

/// Decodes an address in a certificate: its bytes in network order.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(IpAddr::from(Ipv6Addr::from(sixteen)).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> CertificateNames {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        CertificateNames::written(&list)
    }

    #[test]
    fn a_host_name_is_covered_in_any_case_and_with_a_trailing_dot() {
        let names = names(&["Wok.Example.org", "localhost."]);
        for host in [
            "wok.example.org",
            "WOK.example.ORG",
            "wok.example.org.",
            "LocalHost",
        ] {
            assert!(names.covers(host), "{host}");
        }
        for host in [
            "example.org",
            "a.wok.example.org",
            "wok.example.org..",
            "",
            ".",
        ] {
            assert!(!names.covers(host), "{host}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_exactly_one_label() {
        let names = names(&["*.example.org"]);
        for host in [
            "a.example.org",
            "A.Example.Org",
            "xn--bcher-kva.example.org.",
        ] {
            assert!(names.covers(host), "{host}");
        }
        for host in [
            "example.org",
            "a.b.example.org",
            ".example.org",
            "aexample.org",
            "*",
        ] {
            assert!(!names.covers(host), "{host}");
        }
    }

    #[test]
    fn an_address_is_covered_with_and_without_brackets_and_in_every_spelling() {
        let names = names(&["127.0.0.1", "::1", "[2001:db8::1]"]);
        for host in [
            "127.0.0.1",
            "[::1]",
            "::1",
            "0:0:0:0:0:0:0:1",
            "[2001:DB8:0::1]",
            "::ffff:127.0.0.1",
        ] {
            assert!(names.covers(host), "{host}");
        }
        for host in ["127.0.0.2", "[::2]", "127.1", "[::1", "[127.0.0.1].example"] {
            assert!(!names.covers(host), "{host}");
        }
    }

    #[test]
    fn a_wildcard_never_covers_an_address() {
        assert!(!names(&["*.0.0.1"]).covers("127.0.0.1"));
    }

    #[test]
    fn what_no_host_can_be_called_is_left_out() {
        let bad = [
            "",
            "a b",
            "https://a.example",
            "a.example:443",
            "w*.example.org",
            "*",
            "*.",
            "a..b",
            "é",
        ];
        assert!(names(&bad).is_empty());
    }

    #[test]
    fn names_are_shown_as_a_list() {
        let shown = names(&["b.example", "*.c.example", "A.example", "::1"]).to_string();
        assert_eq!(shown, "a.example, b.example, *.c.example, ::1");
    }
}
