//! The servers of a file: their names, their addresses, and their responses to one kind of request. Does not know how
//! the result is written.

use std::collections::HashMap;

use noren::config::HostPattern;

use super::facts::Facts;
use super::flow::{End, Flow};
use super::location::{Closed, Locations, Outcome, Redirect};
use super::paths::{Route, routes};
use super::scope::Scope;
use super::syntax::Directive;
use super::upstream::Upstream;

/// A server with its enclosing blocks.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) at: &'a Directive,
    pub(super) scope: Scope<'a>,
    /// The names that Noren supports too: `a.example`, `*.example`.
    pub(super) names: Vec<String>,
    /// Directives with names that are other patterns, which Noren does not support.
    pub(super) odd_names: Vec<&'a Directive>,
    pub(super) listens: Vec<Listen<'a>>,
}

/// An address at which a server listens.
#[derive(Debug, Clone)]
pub(super) struct Listen<'a> {
    pub(super) at: &'a Directive,
    /// Normal form of the address, which is the same for all its spellings.
    pub(super) address: String,
    pub(super) port: String,
    /// True if only the port is written.
    pub(super) bare: bool,
    pub(super) tls: bool,
    pub(super) is_default: bool,
}

/// The responses of a server to one kind of request.
#[derive(Debug, Clone)]
pub(super) struct View<'a> {
    pub(super) routes: Vec<Route<'a>>,
    pub(super) told: Vec<(&'a Directive, String)>,
    pub(super) carried: Vec<&'a Directive>,
    pub(super) verify: Option<Verify<'a>>,
}

/// The check of client certificates that a server requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verify<'a> {
    pub(super) how: &'a Directive,
    pub(super) authority: &'a Directive,
}

impl Verify<'_> {
    pub(super) fn is_required(&self) -> bool {
        self.how.argument(0) == "on"
    }
}

impl<'a> Server<'a> {
    pub(super) fn of(at: &'a Directive, around: &Scope<'a>) -> Self {
        let mut names = Vec::new();
        let mut odd_names = Vec::new();
        for directive in at.all("server_name") {
            for name in directive.arguments() {
                let domain = name.strip_prefix('.').filter(|domain| !domain.is_empty());
                let spelled = match domain {
                    Some(domain) => vec![domain.to_owned(), format!("*.{domain}")],
                    None => vec![name.to_lowercase()],
                };
                if matches!(name.as_str(), "" | "_" | "*") {
                    continue;
                }
                if spelled.iter().all(|name| HostPattern::parse(name).is_ok()) {
                    names.extend(spelled);
                } else {
                    odd_names.push(directive);
                }
            }
        }
        let ssl = at.all("ssl").any(|ssl| ssl.argument(0) == "on");
        let mut listens: Vec<_> = at
            .all("listen")
            .filter(|listen| !listen.has("quic"))
            .map(|listen| Listen::of(listen, ssl))
            .collect();
        if at.all("listen").next().is_none() {
            listens.push(Listen::anywhere(at, ssl));
        }
        Self {
            at,
            scope: around.inside(&at.block),
            names,
            odd_names,
            listens,
        }
    }

    /// Determines the responses of this server at this listener, to requests for this name.
    pub(super) fn view(
        &self,
        listen: (bool, &str),
        host: Option<&str>,
        upstreams: &HashMap<String, Upstream>,
    ) -> View<'a> {
        let (tls, port) = listen;
        let name = self.names.first().map_or("", String::as_str);
        let facts = Facts::new(tls, port, host, name);
        let flow = Flow::of(&self.at.block, "/", &facts);
        let mut view = View {
            routes: Vec::new(),
            told: Vec::new(),
            carried: flow.carried.clone(),
            verify: None,
        };
        for (at, why) in &flow.notes {
            view.told.push((at, (*why).to_owned()));
        }
        let whole = match (flow.end.clone(), self.verify(tls)) {
            (
                Some(End::Redirect {
                    at,
                    port,
                    same_host,
                }),
                _,
            ) => Some(Outcome::Redirect(Redirect {
                at,
                port,
                same_host,
            })),
            (Some(End::Closed { at }), _) | (None, Err(at)) => Some(Outcome::closed(
                at,
                "this holds for the whole server: it is closed here; see users, client-certificate and [session], \
                 or the address that it leads to",
            )),
            (None, Ok(verify)) => {
                view.verify = verify;
                None
            }
        };
        if let Some(outcome) = whole {
            view.routes.push(Route {
                path: "/".to_owned(),
                outcome,
                refuse: Vec::new(),
            });
            return view;
        }
        let locations = Locations {
            server: self.at,
            upstreams,
            flow: &flow,
            asks_certificates: view.verify.is_some(),
        };
        let mut paths = routes(&locations, &self.scope);
        view.told.append(&mut paths.told);
        view.carried.append(&mut paths.carried);
        view.routes = paths.routes;
        view
    }

    /// Returns the client certificates that are requested. The error is a check that Noren's listeners do not support.
    fn verify(&self, tls: bool) -> Result<Option<Verify<'a>>, &'a Directive> {
        let rejects = self.scope.nearest("ssl_reject_handshake");
        if let Some(rejects) = rejects.filter(|one| tls && one.argument(0) == "on") {
            return Err(rejects);
        }
        let how = self.scope.nearest("ssl_verify_client");
        let Some(how) = how.filter(|one| tls && one.argument(0) != "off") else {
            return Ok(None);
        };
        let revoked = self.scope.nearest("ssl_crl");
        let asked = self
            .scope
            .nearest("ssl_ocsp")
            .filter(|one| one.argument(0) != "off");
        if let Some(check) = revoked.or(asked) {
            return Err(check);
        }
        let authority = self.scope.nearest("ssl_client_certificate").ok_or(how)?;
        if matches!(how.argument(0), "on" | "optional") {
            Ok(Some(Verify { how, authority }))
        } else {
            Err(how)
        }
    }
}

impl<'a> Listen<'a> {
    pub(super) fn of(at: &'a Directive, ssl: bool) -> Self {
        let written = at.argument(0);
        let bare = written.bytes().all(|byte| byte.is_ascii_digit());
        let (host, port) = if written.starts_with("unix:") {
            (written, "")
        } else if bare {
            ("0.0.0.0", written)
        } else {
            match written.rsplit_once(':') {
                Some((host, port)) if !written.ends_with(']') => (host, port),
                _ => (written, "80"),
            }
        };
        let host = if host == "*" { "0.0.0.0" } else { host };
        let address = if port.is_empty() {
            host.to_owned()
        } else {
            format!("{host}:{port}")
        };
        Self {
            at,
            address,
            port: port.to_owned(),
            bare,
            tls: ssl || at.has("ssl"),
            is_default: at.has("default_server") || at.has("default"),
        }
    }

    pub(super) fn anywhere(at: &'a Directive, ssl: bool) -> Self {
        Self {
            at,
            address: "0.0.0.0:80".to_owned(),
            port: "80".to_owned(),
            bare: true,
            tls: ssl,
            is_default: false,
        }
    }

    /// True if only programs of this machine can reach the address.
    pub(super) fn is_local(&self) -> bool {
        ["127.", "unix:", "localhost", "[::1]"]
            .iter()
            .any(|beginning| self.address.starts_with(beginning))
    }
}

impl<'a> View<'a> {
    pub(super) fn is_open(&self) -> bool {
        self.routes.iter().any(|route| route.outcome.is_open())
    }

    /// Returns the first location that redirects its visitors to https.
    pub(super) fn redirect(&self) -> Option<&Redirect<'a>> {
        self.routes.iter().find_map(|route| match &route.outcome {
            Outcome::Redirect(redirect) => Some(redirect),
            _ => None,
        })
    }

    /// Returns a text that is equal for views that are open to the same requests.
    pub(super) fn fingerprint(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        if let Some(verify) = &self.verify {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{} {}",
                verify.how.argument(0),
                verify.authority.argument(0)
            );
        }
        for route in &self.routes {
            let access = route.outcome.access().unwrap_or_default();
            let _ = writeln!(text, "{} {access} {:?}", route.path, route.refuse);
        }
        text
    }

    /// Closes all routes.
    pub(super) fn close(&mut self, at: &'a Directive, why: &str) {
        for route in self
            .routes
            .iter_mut()
            .filter(|route| route.outcome.is_open())
        {
            route.outcome = Outcome::closed(at, why);
        }
    }

    /// True if nginx serves nothing at the root either.
    pub(super) fn lacks_root(&self) -> bool {
        let root = self.routes.iter().find(|route| route.path == "/");
        root.is_none_or(|root| matches!(root.outcome, Outcome::Closed(Closed { told: None, .. })))
    }
}
