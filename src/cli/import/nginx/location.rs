//! Determines the outcome of a location: an app, a directory, a console, a redirect to https, or nothing that Noren
//! could serve. Must not know the paths that lead to it.

use std::collections::HashMap;

use super::directives::{Meaning, meaning};
use super::facts::Facts;
use super::flow::{End, Flow};
use super::guard::{Headers, Login, headers, login, methods, obstacle};
use super::headers::of_requests;
use super::scope::Scope;
use super::syntax::Directive;
use super::upstream::Upstream;
use super::values::{directory, with_port};

/// The outcome of requests for a location.
#[derive(Debug, Clone)]
pub(super) enum Outcome<'a> {
    App(Box<App<'a>>),
    Files(Files<'a>),
    Console(Box<App<'a>>),
    Redirect(Redirect<'a>),
    Closed(Closed<'a>),
}

/// An app with its access rules.
#[derive(Debug, Clone)]
pub(super) struct App<'a> {
    pub(super) at: &'a Directive,
    /// The blocks with the settings of the app.
    pub(super) scope: Scope<'a>,
    /// `http://host:port`, `https://host:port` or `unix:/path`; the first one of several.
    pub(super) url: String,
    /// All addresses.
    pub(super) urls: Vec<String>,
    pub(super) affinity: Option<&'static str>,
    pub(super) login: Option<Login<'a>>,
    pub(super) methods: Option<Vec<String>>,
    pub(super) certificate: bool,
    /// True if nginx forwards WebSockets.
    pub(super) websockets: bool,
    pub(super) headers: Headers<'a>,
    pub(super) carried: Vec<&'a Directive>,
    pub(super) notes: Vec<(&'a Directive, &'static str)>,
}

/// A directory.
#[derive(Debug, Clone)]
pub(super) struct Files<'a> {
    pub(super) at: &'a Directive,
    /// The directive with the directory: `root` or `alias`.
    pub(super) directive: &'a Directive,
    pub(super) directory: String,
    /// The blocks with the limits of the directory.
    pub(super) scope: Scope<'a>,
    pub(super) notes: Vec<(&'a Directive, &'static str)>,
}

/// A redirect of requests without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect<'a> {
    pub(super) at: &'a Directive,
    pub(super) port: String,
    pub(super) same_host: bool,
}

/// A location that Noren does not serve as nginx does.
#[derive(Debug, Clone)]
pub(super) struct Closed<'a> {
    /// The directive to report, and the reason; `None` if nginx serves nothing either.
    pub(super) told: Option<(&'a Directive, String)>,
    /// True if nginx refuses some clients, so that a person has to decide about access.
    pub(super) guarded: bool,
}

impl Closed<'_> {
    /// A location for which nginx has no response either.
    pub(super) fn nothing() -> Self {
        Self {
            told: None,
            guarded: false,
        }
    }
}

impl<'a> Outcome<'a> {
    pub(super) fn closed(at: &'a Directive, why: impl Into<String>) -> Self {
        Self::Closed(Closed {
            told: Some((at, why.into())),
            guarded: true,
        })
    }

    /// Returns the app and its rules as a text; `None` if neither an app nor a directory serves the requests. Locations
    /// with the same text are open to the same requests.
    pub(super) fn access(&self) -> Option<String> {
        match self {
            Self::App(app) => Some(format!("app {}", app.access())),
            Self::Console(app) => Some(format!("console {}", app.access())),
            Self::Files(files) => {
                let limits = limits(&files.scope);
                Some(format!("files {} {limits:?}", files.directive.id))
            }
            Self::Redirect(_) | Self::Closed(_) => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.access().is_some()
    }
}

impl App<'_> {
    fn access(&self) -> String {
        let users = self.login.map_or("", |login| login.users.argument(0));
        let user = self.headers.user.map_or("", |header| header.argument(0));
        let rules = of_requests(&self.headers.rules);
        format!(
            "{:?} {:?} {users:?} {user:?} {:?} {} {} {rules:?} {:?}",
            self.urls,
            self.affinity,
            self.methods,
            self.certificate,
            self.websockets,
            limits(&self.scope)
        )
    }
}

/// Returns the limits of a location as the words of their directives, for comparison.
fn limits<'a>(scope: &Scope<'a>) -> Vec<&'a [String]> {
    let names = [
        "limit_req",
        "limit_conn",
        "limit_req_dry_run",
        "limit_conn_dry_run",
    ];
    let all = names.iter().flat_map(|name| scope.nearest_all(name));
    all.map(|one| one.words.as_slice()).collect()
}

/// The URLs of an app, its affinity, and the path within the app.
type Address = (Vec<String>, Option<&'static str>, String);

/// Determines the outcomes of the locations of one server.
#[derive(Debug, Clone)]
pub(super) struct Locations<'a, 'b> {
    pub(super) server: &'a Directive,
    /// The addresses of each `upstream`.
    pub(super) upstreams: &'b HashMap<String, Upstream>,
    /// The statements of the server, which are evaluated before any location.
    pub(super) flow: &'b Flow<'a>,
    /// True if the listener requests client certificates.
    pub(super) asks_certificates: bool,
}

impl<'a> Locations<'a, '_> {
    /// Determines the outcome of a location from its scope, whose nearest block is that of the location. A location
    /// with a pattern has no path.
    pub(super) fn outcome(&self, at: &'a Directive, scope: &Scope<'a>, path: &str) -> Outcome<'a> {
        let end = match self.read(at, scope, path) {
            Ok(outcome) => return outcome,
            Err(end) => end,
        };
        let flow = Flow::of(&at.block, path, &self.flow.facts);
        let pass = scope.own("proxy_pass");
        let url = pass.and_then(|pass| self.address(pass, &flow.facts).ok());
        match (end, url) {
            // The person who decides needs the address that is not written.
            (
                Outcome::Closed(Closed {
                    told: Some((at, why)),
                    guarded: true,
                }),
                Some((urls, ..)),
            ) => {
                let urls = urls.join(", ");
                Outcome::closed(at, why.replace("its url", &format!("its url, {urls},")))
            }
            (end, _) => end,
        }
    }

    fn read(
        &self,
        at: &'a Directive,
        scope: &Scope<'a>,
        path: &str,
    ) -> Result<Outcome<'a>, Outcome<'a>> {
        let flow = Flow::of(&at.block, path, &self.flow.facts);
        passes(at, &flow, scope)?;
        if let Some((_, rewrite)) = flow.refused.first() {
            return Err(guarded(at, rewrite));
        }
        let last = scope
            .own("try_files")
            .and_then(|files| Some((files, files.arguments().last()?)));
        let named = match last {
            Some((files, name)) if name.starts_with('@') => {
                let mut locations = self.server.all("location");
                let location = locations.find(|one| one.arguments() == std::slice::from_ref(name));
                Some(location.ok_or_else(|| Outcome::closed(files, "there is no such location"))?)
            }
            _ => None,
        };
        let Some(named) = named else {
            let pass = flow.pass.or_else(|| scope.own("proxy_pass"));
            let Some(pass) = pass else {
                return self.without_app(at, scope, path, &flow);
            };
            if let Some((files, _)) = last.filter(|_| flow.pass.is_none()) {
                let why = "try_files ends in no place that is an app, so nginx never asks this one: it is closed here";
                return Err(Outcome::closed(files, why));
            }
            return self.app(at, scope, path, &flow, pass);
        };
        // The guards of both hold.
        let outside = Scope::default().inside(&self.server.block);
        let own = scope.outwards_of(&outside).inside(&named.block);
        let inner = Flow::of(&named.block, "", &flow.facts);
        passes(named, &inner, &own)?;
        let pass = inner.pass.or_else(|| own.own("proxy_pass"));
        let Some(pass) = pass.filter(|_| inner.refused.is_empty()) else {
            return Err(Outcome::closed(named, "no app is asked there"));
        };
        let logins = [login(scope), login(&own)].map(Result::unwrap_or_default);
        if let [Some(first), Some(second)] = logins
            && first.users.argument(0) != second.users.argument(0)
        {
            return Err(guarded(at, second.users));
        }
        let mut both = inner.clone();
        both.methods = intersection(flow.methods.clone(), inner.methods.clone());
        both.certificate |= flow.certificate;
        both.notes.extend(&flow.notes);
        both.carried.extend(&flow.carried);
        both.carried.extend(last.map(|(files, _)| files));
        let whole = scope.inside(&named.block);
        self.app(named, &whole, path, &both, pass)
    }

    /// Determines the outcome of a location without an app: a directory, or a location that Noren does not serve.
    fn without_app(
        &self,
        at: &'a Directive,
        scope: &Scope<'a>,
        path: &str,
        flow: &Flow<'a>,
    ) -> Result<Outcome<'a>, Outcome<'a>> {
        let asks = login(scope).map_or_else(Some, |login| login.map(|login| login.users));
        if let Some(asks) = asks {
            let why = "[[files]] are for everybody; let an [[app]] with `users` serve what is not; it is closed here";
            return Err(Outcome::closed(at, format!("line {}: {why}", asks.line)));
        }
        let handler = at.block.iter().find(|one| is_other_handler(one));
        let directive = scope.own("alias").or_else(|| scope.own("root"));
        let found = directive.and_then(|directive| directory(directive, path));
        let limits =
            flow.methods.is_some() || self.flow.methods.is_some() || methods(scope).is_some();
        match (handler, directive, found) {
            (None, Some(directive), Some(directory))
                if !limits && !self.needs_certificate(flow) =>
            {
                Ok(Outcome::Files(Files {
                    at,
                    directive,
                    directory,
                    scope: scope.clone(),
                    notes: flow.notes.clone(),
                }))
            }
            (Some(handler), _, _) => {
                let why = match meaning(handler.name()) {
                    Meaning::Left(why) => format!("{why}; it is closed here"),
                    _ => "it is closed here".to_owned(),
                };
                Err(unserved(at, why))
            }
            _ => {
                let why = "Noren serves apps and consoles; let the app serve these files, or write [[files]]; it \
                           is closed here";
                Err(unserved(at, why.to_owned()))
            }
        }
    }

    fn needs_certificate(&self, flow: &Flow<'a>) -> bool {
        flow.certificate || self.flow.certificate
    }

    fn app(
        &self,
        at: &'a Directive,
        scope: &Scope<'a>,
        path: &str,
        flow: &Flow<'a>,
        pass: &'a Directive,
    ) -> Result<Outcome<'a>, Outcome<'a>> {
        let login = login(scope).map_err(|asks| {
            let why = format!(
                "passwords without a file of them (line {}): it is closed here",
                asks.line
            );
            Outcome::closed(at, why)
        })?;
        let headers = headers(scope, &flow.facts, login.is_some()).map_err(|header| {
            let why = format!(
                "an app may believe {} (line {}), and a client could send it here: it is closed here; see user-header",
                header.argument(0),
                header.line
            );
            Outcome::closed(at, why)
        })?;
        if self.needs_certificate(flow) && !self.asks_certificates {
            let why = "only clients with a certificate may come here, and no listener asks for any: it is closed here";
            return Err(Outcome::closed(at, why));
        }
        if let Some(handler) = at.block.iter().find(|one| is_other_handler(one)) {
            return Err(guarded(at, handler));
        }
        let (urls, affinity, below) = self
            .address(pass, &flow.facts)
            .map_err(|why| Outcome::closed(pass, why))?;
        let mut notes = flow.notes.clone();
        let mut carried = flow.carried.clone();
        carried.push(pass);
        if below == "/" && path != "/" {
            notes.push((
                pass,
                "paths are not rewritten: the app gets the path of its location too",
            ));
        } else if !below.is_empty() && below != path {
            // Through a URL that ends in `/` all of the app can be asked; through any other only a part.
            return Err(Outcome::closed(
                pass,
                "paths are not rewritten, and the app would get more than what nginx lets through: it is closed here",
            ));
        }
        if let Some(strips) = flow.strips {
            notes.push((
                strips,
                "paths are not rewritten: the app gets the path of its location too",
            ));
        }
        let limit = methods(scope);
        carried.extend(limit.iter().map(|(limit, _)| *limit));
        let limit = intersection(limit.map(|(_, names)| names), flow.methods.clone());
        let upgrades = scope.nearest_all("proxy_set_header");
        let upgrades = upgrades
            .iter()
            .any(|header| header.argument(0).eq_ignore_ascii_case("upgrade"));
        let methods = intersection(limit, self.flow.methods.clone());
        let methods = methods.map(|names| {
            let names = names.iter().map(|name| name.to_uppercase());
            let names = names.filter(|name| !matches!(name.as_str(), "CONNECT" | "TRACE"));
            names.collect::<Vec<_>>()
        });
        if methods.as_ref().is_some_and(Vec::is_empty) {
            return Err(Outcome::closed(at, "no method is left; it is closed here"));
        }
        let app = Box::new(App {
            at,
            scope: scope.clone(),
            url: urls.first().cloned().unwrap_or_default(),
            urls,
            affinity,
            login,
            methods,
            certificate: self.needs_certificate(flow),
            websockets: upgrades,
            headers,
            carried,
            notes,
        });
        if upgrades && path.contains("websockify") {
            return Ok(Outcome::Console(app));
        }
        Ok(Outcome::App(app))
    }

    /// Returns the URLs of an app, its affinity, and the path within the app.
    fn address(&self, pass: &Directive, facts: &Facts) -> Result<Address, String> {
        let written = pass.argument(0);
        // The whole path as it came.
        let whole = [
            "$request_uri",
            "$uri$is_args$args",
            "$uri$is_args$query_string",
            "$uri",
        ];
        let whole = whole.iter().find_map(|end| written.strip_suffix(end));
        let expanded = facts.expand(whole.unwrap_or(written));
        let Some(expanded) = expanded else {
            return Err(
                "the address has to be a fixed one; until then it is closed here".to_owned(),
            );
        };
        let (scheme, rest) = expanded.split_once("://").unwrap_or(("", ""));
        if !matches!(scheme, "http" | "https") {
            return Err("the address has to be one of HTTP; it is closed here".to_owned());
        }
        let (upstream, below) = if let Some(socket) = rest.strip_prefix("unix:") {
            // The path of the URL stands behind a second colon.
            let (socket, below) = socket.split_once(':').unwrap_or((socket, ""));
            (Upstream::one(&format!("unix:{socket}")), below)
        } else {
            let (host, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let found = self.upstreams.get(host).cloned();
            (found.unwrap_or_else(|| Upstream::one(host)), below)
        };
        if !below.is_empty() && written.contains('$') {
            return Err(
                "nginx asks for this path alone, whatever the visitor asks for; it is closed here"
                    .to_owned(),
            );
        }
        let mut urls = Vec::new();
        for host in &upstream.addresses {
            let url = match host.strip_prefix("unix:") {
                Some(_) if scheme == "https" => {
                    return Err("TLS over a UNIX socket is not spoken".to_owned());
                }
                Some(socket) => format!("unix:{}", socket.trim_end_matches(':')),
                None => format!("{scheme}://{}", with_port(host, scheme)),
            };
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        let affinity = upstream.affinity.filter(|_| urls.len() > 1);
        Ok((urls, affinity, below.to_owned()))
    }
}

/// Fails if some or all requests for a location do not reach its app or directory.
fn passes<'a>(at: &'a Directive, flow: &Flow<'a>, scope: &Scope<'a>) -> Result<(), Outcome<'a>> {
    match &flow.end {
        Some(End::Redirect {
            at,
            port,
            same_host,
        }) => {
            return Err(Outcome::Redirect(Redirect {
                at,
                port: port.clone(),
                same_host: *same_host,
            }));
        }
        Some(End::Closed { at: end }) => return Err(guarded(at, end)),
        None => {}
    }
    obstacle(scope).map_or(Ok(()), |guard| Err(guarded(at, guard)))
}

/// The outcome of files, or of a handler, that Noren does not support.
fn unserved(at: &Directive, why: String) -> Outcome<'_> {
    Outcome::Closed(Closed {
        told: Some((at, why)),
        guarded: false,
    })
}

pub(super) fn guarded<'a>(at: &'a Directive, guard: &Directive) -> Outcome<'a> {
    let words = guard.words.join(" ");
    let why = format!(
        "`{words}` (line {}) decides there who gets what, and nothing here does, so it is closed here: see users, \
         client-certificate and [session], then write its url in the place of unix:/dev/null/closed and take \
         `refuse` away",
        guard.line
    );
    Outcome::closed(at, why)
}

fn is_other_handler(one: &Directive) -> bool {
    one.name().ends_with("_pass") && one.name() != "proxy_pass"
        || one.name().starts_with("content_by_lua")
        || matches!(
            one.name(),
            "passenger_enabled"
                | "empty_gif"
                | "stub_status"
                | "flv"
                | "mp4"
                | "js_content"
                | "perl"
                | "random_index"
        )
}

/// Returns the methods that are in both lists.
fn intersection(one: Option<Vec<String>>, other: Option<Vec<String>>) -> Option<Vec<String>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(
            one.into_iter()
                .filter(|name| other.contains(name))
                .collect(),
        ),
        (one, other) => one.or(other),
    }
}
