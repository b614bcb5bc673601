//! Which targets a source may name: the check against `allow`, before a name is resolved and again for each
//! address it resolves to.
//!
//! Must not resolve or connect. What is checked is the address that is then connected to, because a name can
//! resolve to something else a moment later.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use crate::config::{Hosts, TargetRule};

/// The rules of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allow(Vec<TargetRule>);

impl Allow {
    pub(super) fn new(rules: &[TargetRule]) -> Self {
        Self(rules.to_vec())
    }

    /// Whether a host could be permitted, as far as that shows before it is resolved: nobody is asked for a name
    /// that no rule could let pass.
    pub(super) fn may_name(&self, host: &str, port: u16) -> bool {
        if let Ok(address) = host.parse() {
            return self.permits(host, port, address);
        }
        self.ports(port).any(|hosts| match hosts {
            Hosts::Any | Hosts::Network(..) => true,
            Hosts::Name(_) | Hosts::Below(_) => is_called(host, hosts),
        })
    }

    /// Whether `address`, to which `host` has resolved, may be connected to.
    pub(super) fn permits(&self, host: &str, port: u16, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let kind = Kind::of(address);
        self.ports(port).any(|hosts| match hosts {
            Hosts::Network(network, bits) => {
                // `0.0.0.0/0` means the networks there are, and not this machine or the cloud's metadata: those
                // only a rule opens that is about them.
                let meant = kind == Kind::Ordinary || kind == Kind::of(*network);
                meant && kind != Kind::Nowhere && is_within(address, *network, *bits)
            }
            Hosts::Any => kind == Kind::Ordinary,
            named => {
                let here = kind == Kind::Loopback && host.eq_ignore_ascii_case("localhost");
                is_called(host, named) && (kind == Kind::Ordinary || here)
            }
        })
    }

    /// The socket to connect to, if it may be: links are resolved first, so that none leads out.
    pub(super) fn socket(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        if !self
            .0
            .iter()
            .any(|rule| matches!(rule, TargetRule::Unix(_)))
        {
            return Ok(None);
        }
        let real = std::fs::canonicalize(path)?;
        let permitted = self.0.iter().any(|rule| match rule {
            // Whole components are compared: /run/dir-evil is not below /run/dir.
            TargetRule::Unix(allowed) => {
                std::fs::canonicalize(allowed).is_ok_and(|allowed| real.starts_with(allowed))
            }
            TargetRule::Tcp { .. } => false,
        });
        Ok(permitted.then_some(real))
    }

    fn ports(&self, port: u16) -> impl Iterator<Item = &Hosts> {
        self.0.iter().filter_map(move |rule| match rule {
            TargetRule::Tcp { hosts, ports } if ports.contains(&port) => Some(hosts),
            _ => None,
        })
    }
}

/// Whether a name is the one in a rule. A dot at the end makes it absolute and no other.
fn is_called(host: &str, hosts: &Hosts) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    match hosts {
        Hosts::Name(name) => host == *name,
        Hosts::Below(name) => host
            .strip_suffix(name.as_str())
            .is_some_and(|label| label.len() > 1 && label.ends_with('.')),
        Hosts::Any | Hosts::Network(..) => false,
    }
}

/// Whether an address is in a network of so many bits.
pub(super) fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shared = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    shared >= u32::from(bits)
}

/// What an address is apart from a place in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ordinary,
    /// This machine.
    Loopback,
    /// Its link, where clouds also serve the secrets of a machine.
    LinkLocal,
    /// Where else clouds serve them.
    Metadata,
    /// `0.0.0.0`, which Linux takes for this machine, and groups of machines.
    Nowhere,
}

/// Amazon over IPv6, and Alibaba, Azure and Oracle. The others, and Amazon over IPv4, are link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

impl Kind {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        if address.is_loopback() {
            Self::Loopback
        } else if address.is_link_local() {
            Self::LinkLocal
        } else if METADATA_V4.contains(&address) {
            Self::Metadata
        } else if matches!(address.octets(), [0 | 224..=239 | 255, ..]) {
            Self::Nowhere
        } else {
            Self::Ordinary
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        // 64:ff9b::/96 leads to the IPv4 address in its end (RFC 6052 §2.1), and ::a.b.c.d once did.
        let embedded = match address.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0, ..] => Some(Ipv4Addr::from_bits(
                (address.to_bits() & 0xffff_ffff) as u32,
            )),
            _ => None,
        };
        if address.is_loopback() {
            Self::Loopback
        } else if address.is_unicast_link_local() {
            Self::LinkLocal
        } else if address == METADATA_V6 {
            Self::Metadata
        } else if address.is_unspecified() || address.is_multicast() {
            Self::Nowhere
        } else {
            embedded.map_or(Self::Ordinary, Self::of_v4)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(rules: &[&str]) -> Allow {
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| TargetRule::parse(rule).expect("a rule"))
            .collect();
        Allow::new(&rules)
    }

    fn permits(rules: &[&str], host: &str, port: u16, address: &str) -> bool {
        allow(rules).permits(host, port, address.parse().expect("an address"))
    }

    #[test]
    fn a_network_permits_its_addresses_and_names_that_resolve_into_it() {
        let rules = ["10.0.0.0/8:5900-5999", "[fd00::/8]:5900"];
        assert!(permits(&rules, "10.1.2.3", 5900, "10.1.2.3"));
        assert!(permits(&rules, "vm.example", 5999, "10.1.2.3"));
        assert!(permits(&rules, "vm.example", 5900, "fd00::1"));
        assert!(permits(&rules, "vm.example", 5900, "::ffff:10.1.2.3"));
        assert!(!permits(&rules, "vm.example", 5900, "11.0.0.1"));
        assert!(!permits(&rules, "10.1.2.3", 6000, "10.1.2.3"));
        assert!(!permits(&rules, "vm.example", 5901, "fd00::1"));
    }

    #[test]
    fn a_name_permits_what_it_resolves_to_but_nothing_of_this_machine_or_its_link() {
        let rules = ["vm.example:5900", "*.lab.example:5900"];
        assert!(permits(&rules, "VM.example.", 5900, "192.0.2.1"));
        assert!(permits(&rules, "a.b.lab.example", 5900, "192.0.2.1"));
        for host in [
            "lab.example",
            ".lab.example",
            "evillab.example",
            "vm.example.org",
        ] {
            assert!(!permits(&rules, host, 5900, "192.0.2.1"), "{host}");
        }
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "::127.0.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(!permits(&rules, "vm.example", 5900, address), "{address}");
            assert!(!permits(&["*:*"], "vm.example", 5900, address), "{address}");
            assert!(
                !permits(&["0.0.0.0/0:*", "[::/0]:*"], address, 5900, address),
                "{address}"
            );
        }
        assert!(permits(&["localhost:5900"], "localhost", 5900, "127.0.0.1"));
        assert!(!permits(
            &["localhost:5900"],
            "localhost",
            5900,
            "169.254.1.1"
        ));
    }

    #[test]
    fn a_rule_about_this_machine_or_its_link_permits_it() {
        assert!(permits(&["127.0.0.0/8:*"], "x", 1, "127.0.0.1"));
        assert!(permits(&["127.0.0.1:5900"], "x", 5900, "127.0.0.1"));
        assert!(permits(&["[::1]:5900"], "::1", 5900, "::1"));
        assert!(permits(&["169.254.7.0/24:22"], "x", 22, "169.254.7.1"));
        assert!(!permits(&["0.0.0.0/8:*"], "x", 1, "0.0.0.0"));
    }

    #[test]
    fn a_name_that_no_rule_could_let_pass_is_not_resolved() {
        let rules = allow(&["vm.example:5900", "*.lab.example:5900"]);
        assert!(rules.may_name("vm.example", 5900));
        assert!(rules.may_name("a.lab.example", 5900));
        assert!(!rules.may_name("vm.example", 22));
        assert!(!rules.may_name("evil.example", 5900));
        assert!(!rules.may_name("192.0.2.1", 5900));
        assert!(allow(&["10.0.0.0/8:5900"]).may_name("any.example", 5900));
        assert!(!allow(&[]).may_name("any.example", 5900));
    }

    #[test]
    fn a_socket_is_permitted_by_its_directory_and_no_link_leads_out() {
        use std::os::unix::fs::symlink;
        let directory = crate::target::test_directory::TestDirectory::new();
        for name in ["in", "in-evil", "out"] {
            std::fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        for name in ["in/vm", "in-evil/vm", "out/vm"] {
            directory.write(name, "");
        }
        symlink("../out/vm", directory.path().join("in/link")).expect("a link");
        let rule = TargetRule::Unix(directory.path().join("in"));
        let allow = Allow::new(&[rule]);
        let socket = |name: &str| allow.socket(&directory.path().join(name));
        assert!(socket("in/vm").expect("there").is_some());
        for name in ["in-evil/vm", "out/vm", "in/link", "in/../out/vm"] {
            assert_eq!(socket(name).expect("there"), None, "{name}");
        }
        assert!(socket("in/missing").is_err());
    }
}
