//! The targets that a source may name: checks against `allow`, before a name is resolved and again for each
//! address that it resolves to.
//!
//! Does not resolve or connect. The check is on the address that is then connected, because a name can resolve to
//! another one a moment later.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::config::{Hosts, TargetRule};

use super::special_address::SpecialAddress;

/// The rules of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allow(Vec<TargetRule>);

impl Allow {
    pub(super) fn new(rules: &[TargetRule]) -> Self {
        Self(rules.to_vec())
    }

    /// True if the name of a host may be permitted. A name that no rule can permit is not resolved.
    pub(super) fn may_name(&self, host: &str, port: u16) -> bool {
        if let Ok(address) = host.parse() {
            return self.permits(host, port, address);
        }
        self.ports(port).any(|hosts| match hosts {
            Hosts::Any | Hosts::Network(..) => true,
            Hosts::Name(_) | Hosts::Below(_) => is_called(host, hosts),
        })
    }

    /// True if `address`, to which `host` has resolved, may be connected.
    pub(super) fn permits(&self, host: &str, port: u16, address: IpAddr) -> bool {
        let place = SpecialAddress::of(address.to_canonical());
        self.ports(port).any(|hosts| match hosts {
            Hosts::Network(network, bits) => place.is_meant_by(*network, *bits),
            Hosts::Any => place.is_ordinary(),
            named => is_called(host, named) && (place.is_ordinary() || place.is_called(host)),
        })
    }

    /// Returns the path of the socket to connect, if it is permitted. Symbolic links are resolved first, so that
    /// none leads out of a permitted directory.
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

/// True if the host is the one in a rule. A final dot only makes a name absolute.
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
            "fec0::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            // Translated: in the middle of one network, and at the end of others.
            "64:ff9b::c000:201",
            "64:ff9b:1::c000:201",
            "64:ff9b:1:c000:2:100::",
            "2002:c000:201::1",
            "2001:0:c000:201::1",
            "::192.0.2.1",
            "::ffff:0:192.0.2.1",
            "::ffff:0:127.0.0.1",
            "fd00:a9fe:a9fe::1",
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
    fn a_translated_address_is_opened_by_its_own_network_and_judged_by_what_it_holds() {
        for (rule, address, permitted) in [
            ("[64:ff9b::/96]:*", "64:ff9b::c000:201", true),
            ("[64:ff9b::c000:200/120]:*", "64:ff9b::c000:201", true),
            ("[64:ff9b::/64]:*", "64:ff9b::c000:201", false),
            ("192.0.2.0/24:*", "64:ff9b::c000:201", false),
            ("[64:ff9b::/96]:*", "64:ff9b::7f00:1", false),
            ("[64:ff9b::/96]:*", "64:ff9b::a9fe:a9fe", false),
            ("[64:ff9b::/96]:*", "64:ff9b::6464:64c8", false),
            ("[64:ff9b::a9fe:a9fe]:*", "64:ff9b::a9fe:a9fe", true),
            ("[64:ff9b:1::/48]:*", "64:ff9b:1::c000:201", true),
            ("[64:ff9b:1::/48]:*", "64:ff9b:1::7f00:1", false),
            ("[64:ff9b:1::/48]:*", "64:ff9b:1:7f00:0:100::", false),
            ("[64:ff9b:1::/48]:*", "64:ff9b:1:a9fe:a9:fe00::", false),
            ("[2002::/16]:*", "2002:c000:201::1", true),
            ("[2002::/16]:*", "2002:7f00:1::1", false),
            ("[2002::/16]:*", "2002:a9fe:a9fe::", false),
            ("[2000::/3]:*", "2002:c000:201::1", false),
            ("[2000::/3]:*", "2001:db8::1", true),
            // Teredo: the client is in the end, with its bits turned around.
            ("[2001::/32]:*", "2001:0:c000:201::3fff:fdfe", true),
            ("[2001::/32]:*", "2001:0:c000:201::80ff:fffe", false),
            ("[::/96]:*", "::192.0.2.1", true),
            ("[::/96]:*", "::127.0.0.1", false),
            ("[::/96]:*", "::1", false),
        ] {
            let is = permits(&[rule], "x", 1, address);
            assert_eq!(is, permitted, "{rule} {address}");
        }
    }

    #[test]
    fn an_address_of_this_machine_is_opened_by_its_own_name_only() {
        let out = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        if out.connect("198.51.100.1:9").is_err() {
            return;
        }
        let own = out.local_addr().expect("an address").ip().to_string();
        let name = crate::net::host_name().expect("a host name");
        for rule in [
            "*:*",
            "0.0.0.0/0:*",
            "[::/0]:*",
            "vm.example:*",
            "*.example:*",
        ] {
            assert!(!permits(&[rule], "vm.example", 1, &own), "{rule}");
            let translated = format!("64:ff9b::{own}");
            assert!(!permits(&[rule, "[64:ff9b::/96]:*"], "x", 1, &translated));
        }
        assert!(!permits(&[&format!("{own}/24:*")], "x", 1, &own));
        assert!(permits(&[&format!("{own}:*")], "x", 1, &own));
        assert!(permits(&[&format!("{name}:*")], &name, 1, &own));
        assert!(!permits(&["*:*"], &name, 1, &own));
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
        let directory = crate::tokens::test_directory::TestDirectory::new();
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
