//! `[session]`: the question to the app whether a visitor is logged in, and how long its answer
//! holds. Asks nothing, and knows of HTTP only which characters a path and a header may hold.

use std::collections::BTreeMap;
use std::time::Duration;

use super::app::App;
use super::header_text::{is_set_elsewhere, parse_header_name, parse_header_value};
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::request_limits::RequestRate;
use super::value;

/// Placeholder for the name of the guest in `token-path`.
pub const GUEST_PLACEHOLDER: &str = "{vm}";

/// Placeholder for the whole name of the console in `token-path`.
pub const NAME_PLACEHOLDER: &str = "{name}";

/// Placeholder for the kind of console in `token-path`.
pub const KIND_PLACEHOLDER: &str = "{kind}";

/// Placeholder for the channel's name in `channel-path`.
pub const CHANNEL_PLACEHOLDER: &str = "{channel}";

/// Rule for a resource: public, or only for visitors with a session of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRule {
    /// `required`: the app must say yes.
    Required,
    /// `none`: the app is not queried.
    None,
}

/// Extent of a logout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutEnds {
    /// `session`: the connections of the request's session, which is identified by its cookies. The default.
    Session,
    /// `user`: the connections of all sessions of the user whom the app names. For apps whose cookie changes with each
    /// response, as signed cookies do.
    User,
}

impl LogoutEnds {
    const NAMES: [(&'static str, Self); 2] = [("session", Self::Session), ("user", Self::User)];
}

/// The `[session]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// `app`: the index of the app that is queried; in the file its name. Default 0, the first one.
    pub app: usize,
    /// `method`: `GET`, `HEAD` or `POST`. Default `GET`.
    pub method: &'static str,
    /// `path`: the path of the query, below the app's `server-root`. Default `None`: no query, and nothing requires a
    /// session.
    pub path: Option<String>,
    /// `[session.headers]`: headers of each query.
    pub headers: BTreeMap<String, String>,
    /// `cookies`: the names of the cookies that make the session, by which a logout finds it. Empty,
    /// the default: all of them.
    pub cookies: Vec<String>,
    /// `allow-cache`: the time for which a positive response counts for the next request with the same credentials.
    /// Default 5 s; with 0 only concurrent requests share a response.
    pub allow_cache: Duration,
    /// `interval`: the interval of repeating the query while a connection is open. Default 30 s.
    pub interval: Duration,
    /// `repeat-rate`: the rate of repeated queries about all sessions together; with more sessions each is checked less
    /// often. After a switch or a logout the affected sessions are checked at once all the same. Default `None`: no
    /// limit.
    pub repeat_rate: Option<RequestRate>,
    /// `workers`: concurrent queries to the app, beside `app.workers`, 1 to 1000. Default 2.
    pub workers: usize,
    /// `timeout`: the time from a visitor's request to the response of the app, then 504. Default 10 s.
    pub timeout: Duration,
    /// `name-header`: the response header with the name of the user. Default `None`.
    pub name_header: Option<String>,
    /// `groups-header`: the response header with the user's groups, separated by commas. Default `None`.
    pub groups_header: Option<String>,
    /// `channels-header`: the response header with the channels that the session may subscribe to, separated by commas;
    /// with it, `channel-path` is not queried. Default `None`.
    pub channels_header: Option<String>,
    /// `token-path`: the path of a second query, for each console by its guest, below the app's `server-root`; holds
    /// [`GUEST_PLACEHOLDER`] once, and may hold [`NAME_PLACEHOLDER`] and [`KIND_PLACEHOLDER`]. Default `None`.
    pub token_path: Option<String>,
    /// `channel-path`: the path of a second query, for each channel by its name, below the app's `server-root`; holds
    /// [`CHANNEL_PLACEHOLDER`] once. Default `None`.
    pub channel_path: Option<String>,
    /// `open-tokens`: names of tokens that the session alone opens. Default none.
    pub open_tokens: Vec<String>,
    /// `logout`: the paths whose `POST` ends a session, below the app's `server-root`. Any other request to one of
    /// them, or to a path below, makes Noren query the app about the session at once. Default `/logout`.
    pub logout: Vec<String>,
    /// `logout-ends`: the extent of a logout. Default `session`.
    pub logout_ends: LogoutEnds,
    /// `switch`: the paths at and below which the rights of a session change, below the app's `server-root`. Default
    /// none.
    pub switch: Vec<String>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            app: 0,
            method: "GET",
            path: None,
            headers: BTreeMap::new(),
            cookies: Vec::new(),
            allow_cache: Duration::from_secs(5),
            interval: Duration::from_secs(30),
            repeat_rate: None,
            workers: 2,
            timeout: Duration::from_secs(10),
            name_header: None,
            groups_header: None,
            channels_header: None,
            token_path: None,
            channel_path: None,
            open_tokens: Vec::new(),
            logout: vec!["/logout".to_owned()],
            logout_ends: LogoutEnds::Session,
            switch: Vec::new(),
        }
    }
}

impl Session {
    /// `names` are those of the apps, if all could be read.
    pub(super) fn read(table: &mut Table<'_>, names: Option<&[App]>) -> Self {
        let default = Self::default();
        let session = Self {
            app: table.text("app", default.app, |text| match names {
                Some(apps) => app_called(text, apps),
                None => Ok(0),
            }),
            method: table.text("method", default.method, |text| {
                let methods = ["GET", "HEAD", "POST"].map(|method| (method, method));
                value::choice(text, &methods)
            }),
            path: table.text("path", None, |text| parse_target(text).map(Some)),
            headers: table.table("headers", |names| {
                let headers = names.map(parse_header_value);
                for name in headers.keys() {
                    if let Err(text) = parse_sent_header(name) {
                        names.problem(name, text);
                    }
                }
                headers
            }),
            cookies: table.list("cookies", default.cookies, parse_header_name),
            allow_cache: table.duration("allow-cache", default.allow_cache),
            interval: table.time_limit("interval", default.interval),
            repeat_rate: table.text("repeat-rate", None, parse_rate),
            workers: table.number("workers", default.workers, 1..=1000),
            timeout: table.time_limit("timeout", default.timeout),
            name_header: table.text("name-header", None, |text| {
                parse_header_name(text).map(Some)
            }),
            groups_header: table.text("groups-header", None, |text| {
                parse_header_name(text).map(Some)
            }),
            channels_header: table.text("channels-header", None, |text| {
                parse_header_name(text).map(Some)
            }),
            token_path: table.text("token-path", None, |text| {
                parse_path_with(text, GUEST_PLACEHOLDER, "/plugins/kimchi/vms/{vm}").map(Some)
            }),
            channel_path: table.text("channel-path", None, |text| {
                parse_path_with(text, CHANNEL_PLACEHOLDER, "/realtime/{channel}").map(Some)
            }),
            open_tokens: table.list("open-tokens", default.open_tokens, value::not_empty),
            logout: table.list("logout", default.logout, |text| {
                PathPrefix::parse(text).map(Into::into)
            }),
            logout_ends: table.text("logout-ends", default.logout_ends, |text| {
                value::choice(text, &LogoutEnds::NAMES)
            }),
            switch: table.list("switch", default.switch, |text| {
                PathPrefix::parse(text).map(Into::into)
            }),
        };
        let is_nameless = session.name_header.is_none();
        if table.is_sound() && session.logout_ends == LogoutEnds::User && is_nameless {
            table.problem(
                "logout-ends",
                r#"needs the name of the user; write name-header = "Remote-User", a header of the app's answer"#,
            );
        }
        // Without a path no visitor is checked, although the other settings suggest it.
        if table.is_sound() && session.path.is_none() && session != Self::default() {
            table.problem(
                "path",
                r#"is missing, and without it nobody is asked; write for example path = "/tasks""#,
            );
        }
        session
    }

    /// True if the app must confirm the visitor, where a `session` key says this or is missing. If it is missing,
    /// the app must do so as soon as a query is configured.
    #[must_use]
    pub fn is_required(&self, rule: Option<SessionRule>) -> bool {
        match rule {
            Some(rule) => rule == SessionRule::Required,
            None => self.path.is_some(),
        }
    }
}

impl SessionRule {
    /// A `session` key of another table.
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        table.text("session", None, |text| {
            let rules = [("required", Self::Required), ("none", Self::None)];
            value::choice(text, &rules).map(Some)
        })
    }
}

fn app_called(name: &str, apps: &[App]) -> Result<usize, String> {
    let found = apps.iter().position(|app| app.name == name);
    found.ok_or_else(|| {
        let names: Vec<String> = apps.iter().map(|app| format!("{:?}", app.name)).collect();
        format!(
            "no app is called {name:?}; there {} {}",
            if names.len() == 1 { "is" } else { "are" },
            names.join(", ")
        )
    })
}

/// Parses a path of a request line, possibly with a query.
fn parse_target(text: &str) -> Result<String, String> {
    let (path, _) = text.split_once('?').unwrap_or((text, ""));
    let dots = path.split('/').any(|part| matches!(part, "." | ".."));
    let unfit = |c: char| !c.is_ascii_graphic() || c == '#';
    if !text.starts_with('/') || dots || text.contains(unfit) {
        return Err(format!(
            r#"{text:?} is not a path; write for example "/tasks""#
        ));
    }
    Ok(text.to_owned())
}

/// A rate of questions; one of nothing would believe a session for ever.
fn parse_rate(text: &str) -> Result<Option<RequestRate>, String> {
    match RequestRate::parse(text) {
        Err(_) if text.starts_with("0/") => Err(
            r#"a rate of nothing would never ask again; write for example "2/s", or "off" for no limit"#.to_owned(),
        ),
        read => read,
    }
}

/// A path with one place for a name.
fn parse_path_with(text: &str, place: &str, example: &str) -> Result<String, String> {
    if text.matches(place).count() != 1 {
        return Err(format!(
            r#"{text:?} must have {place} once, where the name goes; write for example "{example}""#
        ));
    }
    parse_target(text)
}

/// Parses a header of a query to the app. The credential of the visitor, and headers that frame or address the
/// request, are refused.
fn parse_sent_header(name: &str) -> Result<(), String> {
    let lower = parse_header_name(name)?.to_ascii_lowercase();
    if is_set_elsewhere(&lower) {
        return Err("is set by Noren for each question; remove it".to_owned());
    }
    Ok(())
}
