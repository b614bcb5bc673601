//! Recognises Wok's own nginx file, also with the changes that its comments suggest, and adds tables that such a file
//! does not contain: Noren replaces Wok's websockify as well. Does not know how the result is written.

use super::super::draft::{list, quoted};
use super::addresses::Site;
use super::location::{App, Outcome};
use super::writer::Writer;

/// Wok, as recognised in a file of nginx.
#[derive(Debug)]
pub(super) struct Wok {
    url: String,
    /// The prefix of Wok's paths, or an empty text.
    root: String,
}

/// Returns the keys for the directory to which Wok and Kimchi write a token file for each console.
pub(super) fn tokens() -> [(&'static str, String); 2] {
    let directory = quoted("/var/lib/wok/ws-tokens");
    [("source", quoted("directory")), ("path", directory)]
}

/// The keys that Wok needs in its `[[app]]`.
pub(super) fn keys(path: &str) -> Vec<(&'static str, String)> {
    let mut keys = Vec::new();
    if path != "/" {
        keys.push(("server-root", quoted(path.trim_end_matches('*'))));
    }
    keys.push(("encoded-slash", "true".to_owned()));
    // Wok has ten threads, two of which are for [session].
    keys.push(("workers", "8".to_owned()));
    // A restart with Kimchi takes up to 12 seconds.
    keys.push(("restart-wait", quoted("30s")));
    keys
}

impl Wok {
    /// Finds Wok's app and its websockify in a server.
    pub(super) fn of(site: &Site<'_>) -> Option<Self> {
        let routes = &site.view.routes;
        let (path, console) = routes.iter().find_map(|route| match &route.outcome {
            Outcome::Console(app) => Some((route.path.as_str(), app)),
            _ => None,
        })?;
        let root = path.trim_matches('*').strip_suffix("/websockify")?;
        let app = routes.iter().find_map(|route| match &route.outcome {
            Outcome::App(app) if route.path.trim_end_matches(['/', '*']) == root => Some(app),
            _ => None,
        })?;
        let certificate = app.scope.nearest("ssl_certificate");
        let is_of_wok = certificate.is_some_and(|file| file.argument(0).starts_with("/etc/wok/"));
        if !is_of_wok && !console.url.ends_with(":64667") {
            return None;
        }
        // A port that is free to choose says nothing of another app.
        if !is_of_wok && !app.url.ends_with(":8010") {
            return None;
        }
        Some(Self {
            url: app.url.clone(),
            root: root.to_owned(),
        })
    }

    pub(super) fn is_app(&self, app: &App<'_>) -> bool {
        app.url == self.url
    }

    /// Writes the tables that have no counterpart in a file of nginx.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        let draft = &mut writer.draft;
        let below = match self.root.as_str() {
            "" => String::new(),
            root => format!(", with its server_root {root}"),
        };
        draft.note(&format!(
            "this is the file of Wok{below}: consoles and notifications are for who is logged in there\n#   \
             ([session], which nginx did not ask), Noren takes the place of Wok's websockify, and listens\n#   to \
             Wok's notifications itself ([[channel]]). Remove /etc/nginx/conf.d/wok.conf, or wokd starts\n#   \
             nginx. config/wok.toml explains each key; CHANGE /run/user/0 if Wok does not run as root"
        ));
        draft.set("limits", "request-buffer", &quoted("3MiB"));
        draft.set("session", "app", &quoted("wok"));
        draft.set("session", "path", &quoted("/tasks"));
        draft.set("session", "cookies", &list(["wok"]));
        draft.set("session", "token-path", &quoted("/plugins/kimchi/vms/{vm}"));
        draft.set("session", "open-tokens", &list(["woknotifications"]));
        draft.set("session", "workers", "2");
        draft.set("session.headers", "Accept", &quoted("application/json"));
        draft.set("session.headers", "Wok-Robot", &quoted("wok-robot"));
        draft.add("bridge.tokens", &tokens());
        let channel = [
            ("name", quoted("wok")),
            ("token", quoted("woknotifications")),
            ("boundary", quoted("//EOM//")),
        ];
        draft.add("channel", &channel);
        let source = [
            ("source", quoted("wok")),
            ("address", quoted("unix:/run/user/0/woknotifications")),
        ];
        draft.add("channel.source", &source);
    }
}
