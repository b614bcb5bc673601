//! Several routes to one app: what each `[[app]]` has to know of the others. Opens nothing.

use http::HeaderName;

use super::app::App;
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

impl App {
    /// True if a request to this app may be one to the other.
    #[must_use]
    pub fn shares_an_address(&self, other: &Self) -> bool {
        let mut urls = self.urls.iter();
        urls.any(|url| {
            let mut others = other.urls.iter();
            others.any(|other| other.endpoint.is_the_same(&url.endpoint))
        })
    }
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

/// Tells each app of the others.
pub(super) fn introduce(apps: &mut [App]) {
    let told = apps
        .iter()
        .flat_map(|app| [&app.user_header, &app.certificate_header]);
    let mut names: Vec<HeaderName> = told
        .flatten()
        .filter_map(|name| name.parse().ok())
        .collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    let of = |app: &App| {
        let siblings = || apps.iter().filter(|other| other.shares_an_address(app));
        let mut roots: Vec<_> = siblings()
            .filter_map(|one| one.server_root.clone())
            .collect();
        roots.sort_unstable();
        roots.dedup();
        Siblings {
            names: names.clone(),
            roots,
            fold_case: siblings().any(|one| one.case_insensitive),
            speak_grip: siblings().any(|one| one.grip.is_some()),
        }
    };
    let all: Vec<_> = apps.iter().map(of).collect();
    for (app, siblings) in apps.iter_mut().zip(all) {
        app.siblings = siblings;
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
