//! Which handler a request goes to: a pure function of its host and path.

use std::collections::HashSet;

use crate::config::{Config, HostPattern, PathPrefix};
use crate::http::{PathFault, Refusal};

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the app with this index in the configuration.
    App(usize),
    /// To the directory with this index in the configuration.
    Files(usize),
    /// To the bridge.
    Websockify,
    /// To the hub; what is asked of it begins here in the path.
    Hub(usize),
}

/// The routes of a configuration.
#[derive(Debug)]
pub struct Router {
    bridge: HashSet<String>,
    /// Paths below these are websockify's `/websockify/host/…/port/…`, which lets a client name any target.
    open_targets: Vec<String>,
    /// The hub's path and a slash, if there is a channel.
    hub: Option<String>,
    /// The most specific first.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    host: Option<HostPattern>,
    route: Route,
    path: PathPrefix,
    encoded_slash: bool,
}

impl Router {
    /// The routes of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut entries = Vec::new();
        let mut add = |route, path: &PathPrefix, hosts: &[HostPattern], encoded_slash| {
            let entry = |host| Entry {
                host,
                route,
                path: path.clone(),
                encoded_slash,
            };
            if hosts.is_empty() {
                entries.push(entry(None));
            }
            entries.extend(hosts.iter().cloned().map(|host| entry(Some(host))));
        };
        // Before the apps: of the same paths, those of a directory are meant.
        for (index, files) in config.files.iter().enumerate() {
            add(Route::Files(index), &files.path, &files.hosts, false);
        }
        for (index, app) in config.apps.iter().enumerate() {
            add(Route::App(index), &app.path, &app.hosts, app.encoded_slash);
        }
        // A named host before a wildcard before any; below that, the longer path first.
        entries.sort_by_key(|entry| {
            let host = match &entry.host {
                Some(HostPattern::Exact(_)) => 0,
                Some(HostPattern::Wildcard(_)) => 1,
                None => 2,
            };
            (host, usize::MAX - entry.path.as_str().len())
        });
        Self {
            bridge: config
                .bridge
                .paths
                .iter()
                .flat_map(|path| spellings(path, config))
                .collect(),
            open_targets: config
                .bridge
                .paths
                .iter()
                .map(|path| format!("{path}/"))
                .collect(),
            hub: (!config.channels.is_empty()).then(|| format!("{}/", config.hub.path)),
            entries,
        }
    }

    /// Chooses the route.
    ///
    /// # Errors
    /// A refusal, if there is none, or if its app does not take such a path.
    pub fn route(&self, host: &str, path: &str) -> Result<Route, Refusal> {
        if self.bridge.contains(path) {
            return Ok(Route::Websockify);
        }
        if self
            .open_targets
            .iter()
            .any(|below| path.starts_with(below.as_str()))
        {
            return Err(Refusal::not_found(
                "a console is named by its token, not by host and port",
            ));
        }
        if let Some(hub) = &self.hub
            && path.starts_with(hub.as_str())
        {
            return Ok(Route::Hub(hub.len()));
        }
        let matches = |entry: &&Entry| {
            entry.path.matches(path)
                && entry
                    .host
                    .as_ref()
                    .is_none_or(|pattern| pattern.matches(host))
        };
        let Some(entry) = self.entries.iter().find(matches) else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        if !entry.encoded_slash {
            PathFault::check_slashes(path)
                .map_err(|fault| Refusal::bad_request(fault.to_string()))?;
        }
        Ok(entry.route)
    }
}

/// A bridge path, and the old slips of pages that are meant for it: a doubled slash, and the app's prefix
/// with and without a slash in between.
fn spellings(path: &str, config: &Config) -> Vec<String> {
    let mut all = vec![path.to_owned(), format!("/{path}")];
    for root in config
        .apps
        .iter()
        .filter_map(|app| app.server_root.as_ref())
    {
        all.push(format!("{}{path}", root.as_str()));
        all.push(format!("{}{}", root.as_str(), path.trim_start_matches('/')));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(text: &str) -> Router {
        Router::new(&Config::parse(text, "test").expect("a valid configuration"))
    }

    #[test]
    fn every_spelling_of_websockify_reaches_the_bridge_and_open_targets_do_not() {
        let router = router(
            "[[app]]\nname = 'wok'\nurl = 'http://127.0.0.1:8010'\nserver-root = '/wok'\n\
             [[bridge.tokens]]\nsource = 'directory'\npath = '/t'",
        );
        for path in [
            "/websockify",
            "//websockify",
            "/wok/websockify",
            "/wokwebsockify",
        ] {
            assert_eq!(router.route("a", path).expect(path), Route::Websockify);
        }
        assert!(
            router
                .route("a", "/websockify/host/10.0.0.1/port/22")
                .is_err()
        );
        assert_eq!(
            router.route("a", "/websockifyx").expect("the app"),
            Route::App(0)
        );
    }

    #[test]
    fn the_most_specific_app_is_chosen() {
        let router = router(
            "[[app]]\nname = 'any'\nurl = 'http://127.0.0.1:1'\n\
             [[app]]\nname = 'wild'\nurl = 'http://127.0.0.1:2'\nhosts = ['*.example']\n\
             [[app]]\nname = 'exact'\nurl = 'http://127.0.0.1:3'\nhosts = ['a.example']\n\
             [[app]]\nname = 'path'\nurl = 'http://127.0.0.1:4'\nhosts = ['a.example']\npath = '/api'",
        );
        for (host, path, app) in [
            ("other", "/", 0),
            ("b.example", "/", 1),
            ("A.example", "/apix", 2),
            ("a.example", "/api", 3),
            ("a.example", "/api/x", 3),
        ] {
            assert_eq!(
                router.route(host, path).expect(path),
                Route::App(app),
                "{host}{path}"
            );
        }
    }

    #[test]
    fn a_directory_is_chosen_by_the_longest_path_and_before_an_app() {
        let router = router(
            "[[app]]\nname = 'any'\nurl = 'http://127.0.0.1:1'\n\
             [[app]]\nname = 'deep'\nurl = 'http://127.0.0.1:2'\npath = '/static/live'\n\
             [[app]]\nname = 'same'\nurl = 'http://127.0.0.1:3'\npath = '/same'\n\
             [[files]]\npath = '/static'\ndirectory = '/a'\n\
             [[files]]\npath = '/same'\ndirectory = '/b'",
        );
        for (path, route) in [
            ("/", Route::App(0)),
            ("/static/x", Route::Files(0)),
            ("/staticx", Route::App(0)),
            ("/static/live/x", Route::App(1)),
            ("/same", Route::Files(1)),
        ] {
            assert_eq!(router.route("a", path).expect(path), route, "{path}");
        }
        assert!(router.route("a", "/static/a%2Fb").is_err());
    }

    #[test]
    fn an_encoded_slash_passes_only_where_the_app_takes_it() {
        let app = "[[app]]\nname = 'a'\nurl = 'http://127.0.0.1:1'\n";
        assert!(router(app).route("h", "/vms/a%2Fb").is_err());
        assert!(
            router(&format!("{app}encoded-slash = true"))
                .route("h", "/vms/a%2Fb")
                .is_ok()
        );
    }
}
