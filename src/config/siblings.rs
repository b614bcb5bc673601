//! Facts that each `[[app]]` has to know of the others, and the names of one address. Independent of the apps.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;

use super::endpoint::Endpoint;
use super::path_prefix::PathPrefix;

/// Facts about the other apps of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Siblings {
    /// Headers that carry user names (`user-header`, `certificate-header`) on any route: an app believes them on each
    /// route that leads to it.
    pub names: Arc<[HeaderName]>,
    /// The `server-root` of each route to the same address.
    pub roots: Vec<PathPrefix>,
    /// True if a route to the same address has `case-insensitive = true`.
    pub fold_case: bool,
    /// True if an app at the same address takes events of GRIP.
    pub speak_grip: bool,
}

/// Canonical form of an address, equal for all names of one port of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CanonicalAddress {
    /// A port of this machine.
    Local(u16),
    /// A port of a host, in lower case, or of an address.
    Remote(String, u16),
    /// A UNIX socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Its canonical form. No name is looked up.
    #[must_use]
    pub fn canonical(&self) -> CanonicalAddress {
        let (host, port) = match self {
            Self::Unix(path) => return CanonicalAddress::Unix(path.clone()),
            Self::Tcp { host, port } => (host, *port),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.eq_ignore_ascii_case("localhost") {
            return CanonicalAddress::Local(port);
        }
        let Ok(address) = host.parse::<IpAddr>() else {
            return CanonicalAddress::Remote(host.to_ascii_lowercase(), port);
        };
        let address = address.to_canonical();
        // Linux connects to the unspecified address as to loopback.
        if address.is_loopback() || address.is_unspecified() {
            CanonicalAddress::Local(port)
        } else {
            CanonicalAddress::Remote(address.to_string(), port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_has_several_names() {
        let endpoint = |text: &str| Endpoint::parse(text).expect("an endpoint");
        let is_the_same =
            |one: &str, other: &str| endpoint(one).canonical() == endpoint(other).canonical();
        for (one, other) in [
            ("localhost:80", "127.0.0.1:80"),
            ("[::1]:80", "LOCALHOST:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("app:80", "App:80"),
            ("app:80", "app.:80"),
            ("localhost.:80", "0.0.0.0:80"),
            ("[::]:80", "127.0.0.2:80"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
            ("unix:/run/app", "unix:/run/app"),
        ] {
            assert!(is_the_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("localhost:80", "127.0.0.1:81"),
            ("app:80", "localhost:80"),
            ("app:80", "192.0.2.1:80"),
            ("unix:/run/app", "localhost:80"),
        ] {
            assert!(!is_the_same(one, other), "{one} {other}");
        }
    }
}
