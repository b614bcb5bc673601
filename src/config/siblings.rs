//! Facts that each `[[app]]` has to know of the others, and the names of one address. Independent of the apps.

use http::HeaderName;

use super::endpoint::Endpoint;
use super::path_prefix::PathPrefix;

/// Facts about the other apps of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Siblings {
    /// Headers in which Noren tells names (`user-header`, `certificate-header`), on whatever route: an app believes
    /// them by every route that leads to it.
    pub names: Vec<HeaderName>,
    /// The `server-root` of each route to the same address.
    pub roots: Vec<PathPrefix>,
    /// True if a route to the same address says that letter case means nothing there.
    pub fold_case: bool,
    /// True if an app at the same address takes events of GRIP.
    pub speak_grip: bool,
}

impl Endpoint {
    /// True if both are the same port of this machine, by whatever name, or are written in the same way.
    #[must_use]
    pub fn is_the_same(&self, other: &Self) -> bool {
        let is_local = |host: &str| {
            let host = host.strip_suffix('.').unwrap_or(host);
            let address = host.parse::<std::net::IpAddr>();
            host.eq_ignore_ascii_case("localhost")
                || address.is_ok_and(|address| address.to_canonical().is_loopback())
        };
        match (self, other) {
            (
                Self::Tcp { host, port },
                Self::Tcp {
                    host: other,
                    port: other_port,
                },
            ) => {
                let is_one = host.eq_ignore_ascii_case(other);
                port == other_port && (is_one || (is_local(host) && is_local(other)))
            }
            (one, other) => one == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_has_several_names() {
        let endpoint = |text: &str| Endpoint::parse(text).expect("an endpoint");
        let is_the_same = |one: &str, other: &str| endpoint(one).is_the_same(&endpoint(other));
        for (one, other) in [
            ("localhost:80", "127.0.0.1:80"),
            ("[::1]:80", "LOCALHOST:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("app:80", "App:80"),
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
