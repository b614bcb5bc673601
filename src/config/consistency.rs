//! Checks the tables of the file against each other: rules that no table can check alone. Must not open anything, and
//! does not change a value.

use std::collections::HashSet;

use super::reader::Table;
use super::{Channel, Config, PathPrefix, SessionRule, Source, StoreKind};

impl Config {
    /// A webhook at a path of something else would silently take its place.
    pub(super) fn check_webhooks(&self, root: &Table<'_>) {
        let is_below = |path: &str, own: &str| {
            let own = own.trim_end_matches('/');
            let rest = path.strip_prefix(own);
            !own.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let sources = self.channels.iter().flat_map(|channel| &channel.sources);
        for path in sources.filter_map(Source::webhook) {
            let mercure = self.mercure.as_ref();
            let consoles = self.bridge.consoles.path.as_ref();
            let owner = if is_below(path, &self.hub.path) {
                "[hub]"
            } else if mercure.is_some_and(|mercure| is_below(path, &mercure.path)) {
                "[mercure]"
            } else if self.bridge.paths.iter().any(|own| is_below(path, own)) {
                "[bridge]"
            } else if self
                .admin
                .page
                .as_ref()
                .is_some_and(|page| page.matches(path))
            {
                "the admin page"
            } else if consoles.is_some_and(|pages| pages.matches(path)) {
                "the pages of consoles"
            } else {
                continue;
            };
            let text = format!(
                r#"a webhook comes to "{path}", which is a path of {owner}; give it another"#
            );
            root.problem("channel", text);
        }
    }

    /// Checks the tables against each other.
    pub(super) fn compare(&self, root: &Table<'_>) {
        let serves_nothing = self.apps.is_empty()
            && !self.bridge.has_targets()
            && self.channels.is_empty()
            && self.files.is_empty();
        if serves_nothing && !self.server.welcome {
            root.problem(
                "app",
                "there is nothing to serve; write [[app]] with url = \"http://127.0.0.1:8010\", a \
                    [[bridge.tokens]] or [[bridge.target]], or a [[channel]]",
            );
        }
        self.compare_entrances(root);
        let acme = self.acme.as_ref();
        if let Some(text) = acme.and_then(|acme| acme.misses(&self.listeners)) {
            root.problem("acme", text);
        }
        let apps: HashSet<_> = self.apps.iter().map(|app| &*app.name).collect();
        for channel in &self.channels {
            if self.cluster.is_some() && channel.history.store == StoreKind::Disk {
                root.problem(
                    "cluster",
                    r#"the history of a cluster is in its stream; remove store = "disk" from [channel.history]"#,
                );
            }
            if let Some(text) = without_app(channel, &apps) {
                root.problem("channel", text);
            }
        }
    }

    /// Checks that a route that needs a client certificate has a listener that requests one.
    fn compare_entrances(&self, root: &Table<'_>) {
        if self
            .listeners
            .iter()
            .any(|listener| listener.clients.is_some())
        {
            return;
        }
        let apps = self.apps.iter().map(|app| ("app", &app.entrance));
        let shared = [
            ("bridge", &self.bridge.entrance),
            ("hub", &self.hub.entrance),
        ];
        let mercure = self
            .mercure
            .iter()
            .map(|mercure| ("mercure", &mercure.entrance));
        for (table, entrance) in apps.chain(shared).chain(mercure) {
            if entrance.needs_certificate() {
                root.problem(
                    table,
                    "client-certificate = \"required\" needs a listener that asks for one; write client-authority = \
                        \"/path\" in a [[listener]]",
                );
            }
        }
    }

    /// Checks that visitors of the admin page are known by name.
    pub(super) fn check_page(&self, root: &Table<'_>) {
        let (session, admin) = (&self.session, &self.admin);
        if admin.page.is_none() || !root.has_no_problem() {
            return;
        }
        if session.path.is_none() || session.name_header.is_none() {
            root.problem(
                "admin",
                "the page is only for users with a name; write [session] with path and name-header",
            );
        } else if admin.users.is_empty() {
            root.problem(
                "admin",
                r#"nobody may see the page; write users = ["NAME"] with the names that the session gives"#,
            );
        }
    }

    /// Recordings are shown on the admin page, where there are any.
    pub(super) fn check_recordings(&self, root: &Table<'_>) {
        if !self.admin.recordings || !root.has_no_problem() {
            return;
        }
        if self.admin.page.is_none() {
            root.problem(
                "admin",
                r#"recordings are shown on the page; write page = "/noren", or remove recordings"#,
            );
        } else if self.bridge.recording.directory.is_none() {
            root.problem(
                "admin",
                "nothing is recorded; write [bridge.recording] with a directory, or remove recordings",
            );
        }
    }

    /// The pages of consoles would take the place of something else, or something else theirs.
    pub(super) fn check_consoles(&self, root: &Table<'_>) {
        let Some(pages) = &self.bridge.consoles.path else {
            return;
        };
        let mercure = self
            .mercure
            .iter()
            .map(|mercure| ("[mercure]", mercure.path.as_str()));
        let admin = self
            .admin
            .page
            .iter()
            .map(|page| ("the admin page", page.as_str()));
        let bridge = self
            .bridge
            .paths
            .iter()
            .map(|path| ("[bridge] paths", path.as_str()));
        let others = bridge
            .chain(mercure)
            .chain(admin)
            .chain([("[hub]", self.hub.path.as_str())]);
        for (owner, path) in others.filter(|(_, path)| *path != "/") {
            let other_way = PathPrefix::parse(path).is_ok_and(|path| path.matches(pages.decoded()));
            if pages.matches(path) || other_way {
                root.problem(
                    "bridge",
                    format!(
                        r#"the pages of consoles are at "{}", a path of {owner} ("{path}"); give them another"#,
                        pages.as_str()
                    ),
                );
            }
        }
    }

    /// Checks that there is an app to query about sessions wherever the file requires one.
    pub(super) fn check_session(&self, root: &Table<'_>) {
        if !root.has_no_problem() {
            return;
        }
        if self.session.path.is_some() && self.apps.is_empty() {
            root.problem(
                "session",
                r#"there is no app to ask; write [[app]] with url = "http://127.0.0.1:8010""#,
            );
        }
        let mercure = self.mercure.as_ref().filter(|mercure| mercure.session);
        if mercure.is_some() && self.session.path.is_none() {
            root.problem(
                "mercure",
                r#"session = true needs a question; write [session] with path = "/tasks""#,
            );
        }
        for (table, rule) in [("bridge", self.bridge.session), ("hub", self.hub.session)] {
            if rule == Some(SessionRule::Required) && self.session.path.is_none() {
                root.problem(
                    table,
                    r#"session = "required" needs a question; write [session] with path = "/tasks""#,
                );
            }
        }
    }
}

/// Describes the fault of a channel that needs a missing app.
fn without_app(channel: &Channel, apps: &HashSet<&str>) -> Option<String> {
    let calls = [
        &channel.receive,
        &channel.on_first_join,
        &channel.on_last_leave,
    ];
    match &channel.app {
        Some(name) if !apps.contains(name.as_str()) => Some(format!(
            r#"the channel "{}" asks the app "{name}", which is not here; write the name of an [[app]]"#,
            channel.name
        )),
        None if apps.is_empty() && calls.iter().any(|path| path.is_some()) => Some(format!(
            r#"the channel "{}" asks an app, and there is none; write an [[app]]"#,
            channel.name
        )),
        _ => None,
    }
}
