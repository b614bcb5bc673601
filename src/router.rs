//! Maps a request's host and path to a handler: a pure function.
//!
//! Routes match the path as most servers read it. If other servers could read it differently, the request is refused if
//! any of these readings has stricter access rules than the chosen route.

use std::collections::HashSet;
use std::sync::Arc;

use http::StatusCode;

use crate::config::{Config, Entrance, HostPattern, Methods, PathPattern, PathPrefix};
use crate::http::{PathFault, Refusal, RequestPath};

/// The path of the metadata of a resource (RFC 9728 §3).
pub(crate) const METADATA: &str = "/.well-known/oauth-protected-resource";

/// The handler of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The app with this index in the configuration.
    App(usize),
    /// The directory with this index in the configuration.
    Files(usize),
    /// The bridge.
    Websockify,
    /// The hub; its resource begins at this position of the canonical path.
    Hub(usize),
    /// The Mercure hub, and its metadata.
    Mercure,
    /// The admin page; its resource begins at this position of the canonical path, or the path ends before it.
    Page(usize),
    /// The pages of consoles; as for the admin page.
    Consoles(usize),
    /// A webhook; its path identifies its source.
    Webhook,
    /// The welcome page of a server without apps.
    Welcome,
}

/// Description of a route to an app or a directory, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// Host or pattern; `None` matches any.
    pub host: Option<String>,
    /// Prefix of its paths.
    pub path: String,
    /// The target of the route.
    pub destination: Destination,
}

/// Target of a path, by its index in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An app.
    App(usize),
    /// A directory of files.
    Files(usize),
}

/// The routes to apps and directories of a configuration, in the order of matching: the first match is taken.
#[must_use]
pub fn route_infos(config: &Config) -> Vec<RouteInfo> {
    Router::new(config).route_infos().collect()
}

/// The properties of a request that determine its route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteKey<'a> {
    /// The public host name.
    pub host: &'a str,
    /// The path, and its other possible readings.
    pub path: &'a RequestPath,
    /// The query.
    pub query: Option<&'a str>,
    /// True if it is a WebSocket handshake.
    pub websocket: bool,
}

/// The routes of a configuration.
#[derive(Debug)]
pub(crate) struct Router {
    /// Paths of the bridge, without a final slash.
    bridge: HashSet<String>,
    /// True if WebSockets at `/` are consoles too.
    bridge_at_root: bool,
    /// True if the host name, and not the query, contains the token of the bridge.
    host_token: bool,
    /// Prefixes of websockify's `/websockify/host/…/port/…`, with which a client names any target.
    open_targets: Vec<String>,
    /// Path of the hub with a final slash, if there is a channel.
    hub: Option<String>,
    /// Paths of the Mercure hub and of its metadata, if there is one.
    mercure: Vec<String>,
    /// Path of the admin page.
    page: Option<String>,
    /// Path of the pages of consoles.
    consoles: Option<String>,
    /// Paths of webhooks.
    webhooks: HashSet<String>,
    /// Routes, most specific first.
    entries: Vec<Entry>,
    welcome: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    host: Option<HostPattern>,
    route: Route,
    path: PathPrefix,
    refuse: Vec<PathPattern>,
    /// Access rules of the app; `None` for a directory, which is public and whose paths no other server parses.
    app: Option<Rules>,
}

/// The access rules of an app.
#[derive(Clone, Debug)]
struct Rules {
    entrance: Arc<Entrance>,
    methods: Methods,
    encoded_slash: bool,
    case_insensitive: bool,
}

impl Router {
    /// Builds the routes of a configuration.
    #[must_use]
    pub(crate) fn new(config: &Config) -> Self {
        let paths = || config.bridge.paths.iter().map(String::as_str).map(decoded);
        Self {
            bridge: paths().flat_map(|path| spellings(&path, config)).collect(),
            bridge_at_root: paths().any(|path| path == "/"),
            host_token: config.bridge.host_token,
            open_targets: paths()
                .filter(|path| path != "/")
                .map(|path| format!("{path}/"))
                .collect(),
            page: config
                .admin
                .page
                .as_ref()
                .map(|path| path.decoded().trim_end_matches('/').to_owned()),
            consoles: config
                .bridge
                .consoles
                .path
                .as_ref()
                .map(|path| path.decoded().trim_end_matches('/').to_owned()),
            webhooks: config
                .channels
                .iter()
                .flat_map(|channel| &channel.sources)
                .filter_map(|source| source.webhook().map(str::to_owned))
                .collect(),
            hub: config
                .has_open_channels()
                .then(|| format!("{}/", decoded(&config.hub.path))),
            mercure: mercure(config),
            entries: entries(config),
            welcome: config.server.welcome && config.apps.is_empty() && config.files.is_empty(),
        }
    }

    /// Descriptions of the routes in the order of matching.
    fn route_infos(&self) -> impl Iterator<Item = RouteInfo> {
        self.entries.iter().filter_map(|entry| {
            let destination = match entry.route {
                Route::App(index) => Destination::App(index),
                Route::Files(index) => Destination::Files(index),
                Route::Websockify
                | Route::Hub(_)
                | Route::Mercure
                | Route::Page(_)
                | Route::Consoles(_)
                | Route::Webhook
                | Route::Welcome => {
                    return None;
                }
            };
            Some(RouteInfo {
                host: entry.host.as_ref().map(ToString::to_string),
                path: entry.path.as_str().to_owned(),
                destination,
            })
        })
    }

    /// Chooses the route by the canonical reading of the path.
    ///
    /// # Errors
    /// A refusal, if no route matches, if the app does not accept such a path, or if the app could read it as a path
    /// with other access rules.
    pub(crate) fn route(&self, asked: RouteKey<'_>) -> Result<Route, Refusal> {
        // Addresses of subscriptions contain topics, whose slashes are encoded; the hub reads the path as it was sent.
        if self.is_mercure(asked.path.as_str()) {
            return Ok(Route::Mercure);
        }
        if let Some(route) = self.own(asked)? {
            asked.path.check_slashes().map_err(refused)?;
            return Ok(route);
        }
        let path = asked.path.as_str();
        let fits = |entry: &&Entry| {
            // A file may have parameters in its name.
            let path = match entry.app {
                Some(_) => path,
                None => asked.path.with_parameters(),
            };
            entry.is_for(asked.host, path, false)
        };
        let Some(entry) = self.entries.iter().find(fits) else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        if !entry.app.as_ref().is_some_and(|app| app.encoded_slash) {
            asked.path.check_slashes().map_err(refused)?;
        }
        self.check_refused(entry, asked)?;
        if let Some(app) = &entry.app {
            self.check_readings(app, asked)?;
        }
        Ok(entry.route)
    }

    /// True if a path, as it was sent, begins with that of the `SockJS` endpoint.
    #[must_use]
    pub(crate) fn is_sockjs(&self, path: &str) -> bool {
        let rest = self
            .hub
            .as_ref()
            .and_then(|hub| path.strip_prefix(hub.as_str()));
        rest.is_some_and(|rest| rest.starts_with("sockjs/"))
    }

    fn is_mercure(&self, path: &str) -> bool {
        self.mercure.iter().any(|own| {
            let rest = path.strip_prefix(own.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Matches Noren's own handlers, for which a path has only one reading.
    fn own(&self, asked: RouteKey<'_>) -> Result<Option<Route>, Refusal> {
        let path = asked.path.as_str();
        let bare = path.strip_suffix('/').unwrap_or(path);
        if self.webhooks.contains(path) {
            return Ok(Some(Route::Webhook));
        }
        if self.bridge.contains(bare) || (path == "/" && self.is_console_at_root(asked)) {
            return Ok(Some(Route::Websockify));
        }
        let mut open_targets = self.open_targets.iter();
        if open_targets.any(|below| path.starts_with(below.as_str())) {
            return Err(Refusal::not_found(
                "a console is named by its token, not by host and port",
            ));
        }
        if let Some(at) = position_below(self.page.as_ref(), path) {
            return Ok(Some(Route::Page(at)));
        }
        if let Some(at) = position_below(self.consoles.as_ref(), path) {
            return Ok(Some(Route::Consoles(at)));
        }
        if let Some(hub) = &self.hub
            && path.starts_with(hub.as_str())
        {
            return Ok(Some(Route::Hub(hub.len())));
        }
        Ok((self.welcome && path == "/").then_some(Route::Welcome))
    }

    /// True if a request for `/` is for the bridge: requests for pages and for the app's own WebSockets have no token.
    fn is_console_at_root(&self, asked: RouteKey<'_>) -> bool {
        let has_token = || {
            let mut parameters = asked.query.unwrap_or_default().split('&');
            parameters.any(|parameter| parameter.starts_with("token="))
        };
        self.bridge_at_root && asked.websocket && (self.host_token || has_token())
    }

    /// Checks every reading of the path against the `refuse` of the chosen route and of the route for that reading: the
    /// app could take the path for a refused one.
    fn check_refused(&self, chosen: &Entry, asked: RouteKey<'_>) -> Result<(), Refusal> {
        if self.entries.iter().all(|entry| entry.refuse.is_empty()) {
            return Ok(());
        }
        let canonical = [asked.path.as_str(), asked.path.with_parameters()];
        for reading in canonical.into_iter().chain(asked.path.others()) {
            let fits = |entry: &&Entry| entry.is_for(asked.host, reading, false);
            let other = self
                .entries
                .iter()
                .find(fits)
                .filter(|_| chosen.app.is_some());
            let mut entries = std::iter::once(chosen).chain(other);
            if entries.any(|entry| entry.refuse.iter().any(|refused| refused.matches(reading))) {
                return Err(Refusal::new(
                    StatusCode::FORBIDDEN,
                    "this path is refused here",
                ));
            }
        }
        Ok(())
    }

    /// Checks that no other reading of the path has stricter rules, so that no spelling evades an access rule because
    /// Noren and the app read it differently.
    fn check_readings(&self, app: &Rules, asked: RouteKey<'_>) -> Result<(), Refusal> {
        let folded = app.case_insensitive.then(|| asked.path.as_str());
        for reading in asked.path.others().chain(folded) {
            let fits = |entry: &&Entry| entry.is_for(asked.host, reading, app.case_insensitive);
            let other = self.entries.iter().find(fits);
            let other = other.and_then(|entry| entry.app.as_ref());
            if other.is_some_and(|other| !app.admit_no_more_than(other, asked.websocket)) {
                return Err(Refusal::bad_request(
                    "the path can be read in two ways, one of which is for others",
                ));
            }
        }
        Ok(())
    }
}

impl Rules {
    /// True if these rules admit no request that the other rules refuse.
    fn admit_no_more_than(&self, other: &Self, websocket: bool) -> bool {
        self.entrance
            .admits_no_more_than(&other.entrance, websocket)
            && self.methods.permit_no_more_than(&other.methods)
    }
}

impl Entry {
    fn is_for(&self, host: &str, path: &str, ignores_case: bool) -> bool {
        let folds = ignores_case || self.app.as_ref().is_some_and(|app| app.case_insensitive);
        let is_below = if folds {
            self.path.matches_in_any_case(path)
        } else {
            self.path.matches(path)
        };
        is_below
            && self
                .host
                .as_ref()
                .is_none_or(|pattern| pattern.matches(host))
    }
}

/// Returns the position after the slash that follows the path of some pages, if `path` is that path or below it.
fn position_below(pages: Option<&String>, path: &str) -> Option<usize> {
    let rest = path.strip_prefix(pages?.as_str())?;
    (rest.is_empty() || rest.starts_with('/')).then_some(path.len() - rest.len() + 1)
}

/// The paths of the Mercure hub and, if it has issuers of tokens, of its metadata (RFC 9728 §3).
fn mercure(config: &Config) -> Vec<String> {
    let Some(mercure) = &config.mercure else {
        return Vec::new();
    };
    let path = decoded(&mercure.path);
    let metadata = format!("{METADATA}{path}");
    let has_metadata = !mercure.issuers.is_empty();
    std::iter::once(path)
        .chain(has_metadata.then_some(metadata))
        .collect()
}

/// The routes to apps and directories, in the order of matching.
fn entries(config: &Config) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |hosts: &[HostPattern], entry: Entry| {
        let named = hosts.iter().cloned().map(Some);
        let any = hosts.is_empty().then_some(None);
        let hosts = named.chain(any);
        entries.extend(hosts.map(|host| Entry {
            host,
            ..entry.clone()
        }));
    };
    // Before the apps: for the same path, a directory has precedence.
    for (index, files) in config.files.iter().enumerate() {
        let entry = Entry {
            host: None,
            route: Route::Files(index),
            path: files.path.clone(),
            refuse: files.refuse.clone(),
            app: None,
        };
        add(&files.hosts, entry);
    }
    for (index, app) in config.apps.iter().enumerate() {
        let rules = Rules {
            entrance: Arc::new(app.entrance.clone()),
            methods: app.methods.clone(),
            encoded_slash: app.encoded_slash,
            case_insensitive: app.case_insensitive,
        };
        let entry = Entry {
            host: None,
            route: Route::App(index),
            path: app.path.clone(),
            refuse: app.refuse.clone(),
            app: Some(rules),
        };
        add(&app.hosts, entry);
    }
    // A named host before a wildcard before any, and of wildcards the longer one; below that, the longer path first,
    // and whole segments before any continuation.
    entries.sort_by_key(|entry| {
        let host = match &entry.host {
            Some(HostPattern::Exact(_)) => (0, 0),
            Some(HostPattern::Wildcard(suffix)) => (1, usize::MAX - suffix.len()),
            None => (2, 0),
        };
        let path = usize::MAX - entry.path.decoded().len();
        (host, path, entry.path.is_open_ended())
    });
    entries
}

fn refused(fault: PathFault) -> Refusal {
    Refusal::bad_request(fault.to_string())
}

/// Decodes a path of the configuration for comparison with readings of requests.
fn decoded(path: &str) -> String {
    PathPrefix::parse(path).map_or_else(|_| path.to_owned(), |path| path.decoded().to_owned())
}

/// Returns a bridge path and common misspellings of it in pages: the app's prefix with and without a slash in between.
/// Paths are compared with double slashes merged.
fn spellings(path: &str, config: &Config) -> Vec<String> {
    // At the root it is only for WebSockets, of whatever prefix.
    if path == "/" {
        return Vec::new();
    }
    let mut all = vec![path.to_owned()];
    for root in config
        .apps
        .iter()
        .filter_map(|app| app.server_root.as_ref())
        .map(PathPrefix::decoded)
    {
        all.push(format!("{root}{path}"));
        all.push(format!("{root}{}", path.trim_start_matches('/')));
    }
    all
}

#[cfg(test)]
mod tests;
