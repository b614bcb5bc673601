//! Known host names of the server, for connections without TLS.
//!
//! A page can make its own name resolve to any address (DNS rebinding): its browser then takes this server for the
//! page's own, sends the page's name as the host, and treats the two as one origin. With TLS no certificate covers such
//! a name. Without TLS, only names are served that no outsider can own, or that the configuration contains. An IP
//! address is always served, because a browser sends it only for a page that was loaded from that address.
//!
//! Must not know the handlers, or how a refusal is sent.

use std::net::Ipv4Addr;

use arc_swap::ArcSwapOption;

use crate::config::{Config, HostPattern, ListenAddress, OriginRule, ServerHosts};
use crate::net::host_name;
use crate::tls::Acceptor;

/// The known host names of one configuration.
#[derive(Debug)]
pub(crate) struct KnownHosts {
    any: bool,
    listed: Vec<HostPattern>,
    /// The system's own names, such as `portal.example.org` and `portal.local`.
    own: Vec<String>,
    /// The TLS acceptor, whose certificates contain further known names.
    certified: ArcSwapOption<Acceptor>,
}

impl KnownHosts {
    /// Collects the names in a configuration: `server.hosts`, and those of apps, files, certificates, listeners
    /// and origins.
    #[must_use]
    pub(crate) fn new(config: &Config) -> Self {
        let (any, mut listed) = match &config.server.hosts {
            ServerHosts::Any => (true, Vec::new()),
            ServerHosts::Listed(hosts) => (false, hosts.clone()),
        };
        listed.extend(config.apps.iter().flat_map(|app| app.hosts.iter().cloned()));
        listed.extend(
            config
                .files
                .iter()
                .flat_map(|files| files.hosts.iter().cloned()),
        );
        listed.extend(configured_names(config).filter_map(|name| HostPattern::parse(name).ok()));
        let own = host_name().map_or_else(Vec::new, |name| {
            let first = name.split('.').next().unwrap_or_default();
            // As multicast DNS has it (RFC 6762).
            vec![format!("{first}.local"), name]
        });
        Self {
            any,
            listed,
            own,
            certified: ArcSwapOption::empty(),
        }
    }

    /// Replaces the names from certificates by those of a listener's acceptor.
    pub(crate) fn certified_by(&self, acceptor: Option<&Acceptor>) {
        self.certified.store(acceptor.cloned().map(Into::into));
    }

    /// True if the host, given without a port and with brackets around an IPv6 address, is known.
    #[must_use]
    pub(crate) fn permits(&self, host: &str) -> bool {
        let bare = host.strip_suffix('.').unwrap_or(host);
        let is_address = bare.starts_with('[') || bare.parse::<Ipv4Addr>().is_ok();
        // A name without a dot is not in the public DNS; RFC 6761 §6.3 keeps the others from it.
        let is_local = !bare.contains('.') || ends_with(bare, ".localhost");
        self.any
            || is_address
            || is_local
            || self.own.iter().any(|own| own.eq_ignore_ascii_case(bare))
            || self.listed.iter().any(|listed| listed.matches(bare))
            || self
                .certified
                .load()
                .as_ref()
                .is_some_and(|acceptor| acceptor.covers(bare))
    }
}

/// The names in other keys of the configuration.
fn configured_names(config: &Config) -> impl Iterator<Item = &str> {
    let certificates = config.tls.certificates.iter();
    let certificates = certificates.flat_map(|certificate| &certificate.names);
    let issued = config.acme.iter().flat_map(|acme| &acme.names);
    let listeners = config
        .listeners
        .iter()
        .filter_map(|listener| match &listener.address {
            ListenAddress::Tcp(address) => Some(address.rsplit_once(':')?.0),
            ListenAddress::Unix(_) | ListenAddress::Systemd(_) => None,
        });
    let entrances = [&config.bridge.entrance, &config.hub.entrance].into_iter();
    let entrances = entrances.chain(config.apps.iter().map(|app| &app.entrance));
    let origins = entrances.flat_map(|entrance| &entrance.origins);
    let origins = origins.filter_map(|origin| match origin {
        OriginRule::Exact(origin) => {
            let (_, authority) = origin.split_once("://")?;
            authority.split(':').next()
        }
        OriginRule::Any | OriginRule::Same => None,
    });
    certificates
        .chain(issued)
        .map(String::as_str)
        .chain(listeners)
        .chain(origins)
}

fn ends_with(host: &str, end: &str) -> bool {
    let at = host.len().checked_sub(end.len());
    at.and_then(|at| host.get(at..))
        .is_some_and(|rest| rest.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> KnownHosts {
        let base = "[[bridge.target]]\ntoken = 'a'\naddress = '127.0.0.1:1'\n";
        KnownHosts::new(&Config::parse(&format!("{text}\n{base}"), "test").expect("a file"))
    }

    #[test]
    fn names_that_nobody_outside_can_have_are_known_and_others_are_not() {
        let hosts = hosts("");
        let own = host_name().expect("a host name");
        for host in [
            "127.0.0.1",
            "192.0.2.7",
            "[::1]",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "portal",
            &own,
        ] {
            assert!(hosts.permits(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.example.",
            "alocalhost.example",
        ] {
            assert!(!hosts.permits(host), "{host}");
        }
    }

    #[test]
    fn what_the_file_names_is_known() {
        let text = "[server]\nhosts = ['door.example', '*.doors.example']\n\
                    [[listener]]\naddress = 'listener.example:80'\nprotocol = 'http'\n\
                    [[app]]\nurl = 'http://127.0.0.1:1'\nhosts = ['app.example']\n\
                    origins = ['https://origin.example:8001']\n";
        let known = hosts(text);
        for host in [
            "Door.example",
            "a.doors.example",
            "listener.example",
            "app.example.",
            "origin.example",
        ] {
            assert!(known.permits(host), "{host}");
        }
        assert!(!known.permits("evil.example"));
        for any in ["'any'", "['any']"] {
            assert!(hosts(&format!("[server]\nhosts = {any}")).permits("evil.example"));
        }
    }
}
