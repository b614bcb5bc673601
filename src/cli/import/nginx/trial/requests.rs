//! Chooses the requests of a comparison: for the names and paths in a file, for paths beside and below them, and a few
//! whose responses no import should change.

use super::super::paths::written;
use super::super::syntax::Directive;

use noren::text::percent;

/// Limit on the requests for one address.
const MOST: usize = 3000;

/// A name that no file has.
pub(super) const OTHER: &str = "other.invalid";

/// Paths that no location names, and that patterns often concern.
const PATHS: &[&str] = &[
    "/",
    "/noren-check",
    "/noren-check.php",
    "/noren-check.css",
    "/.git/config",
    "/.well-known/noren-check",
    "/favicon.ico",
    "/noren-check?a=b",
];

/// Methods of the requests for each path of the file.
const METHODS: &[&str] = &["GET", "POST", "DELETE", "PROPFIND", "WEBSOCKET"];

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) host: String,
    pub(super) path: String,
    /// True if the request contains the user name and the password of the comparison.
    pub(super) password: bool,
}

impl Request {
    /// Formats the request as it is sent. A WebSocket is treated as a method of its own.
    pub(super) fn text(&self) -> String {
        let Self {
            method,
            host,
            path,
            password,
        } = self;
        // check:check
        let password = if *password {
            "Authorization: Basic Y2hlY2s6Y2hlY2s=\r\n"
        } else {
            ""
        };
        let (method, lines) = match *method {
            "WEBSOCKET" => (
                "GET",
                "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            ),
            "GET" => ("GET", "Connection: close"),
            method => (method, "Connection: close\r\nContent-Length: 0"),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: noren-import\r\n{password}{lines}\r\n\r\n"
        )
    }
}

/// The requests for a file with these host names.
pub(super) fn requests(directives: &[Directive], hosts: &[String]) -> Vec<Request> {
    let mut paths = Vec::new();
    collect(directives, &mut paths);
    let mut beside = Vec::new();
    for path in &paths {
        let bare = path.trim_end_matches('/');
        let more = [
            path.clone(),
            bare.to_owned(),
            format!("{bare}/"),
            format!("{bare}x"),
            format!("{bare}/x"),
        ];
        for path in more {
            if path.starts_with('/') && !beside.contains(&path) {
                beside.push(path);
            }
        }
    }
    let mut hosts = hosts.to_vec();
    hosts.push(OTHER.to_owned());
    let mut requests = Vec::new();
    for host in &hosts {
        let request = |method, path: &str| Request {
            method,
            host: host.clone(),
            path: path.to_owned(),
            password: false,
        };
        let known = |path: &str| Request {
            password: true,
            ..request("GET", path)
        };
        let asks = asks_passwords(directives);
        let known = paths.iter().filter(|_| asks).map(|path| known(path));
        let own = METHODS.iter().flat_map(|method| {
            let paths = paths.iter().map(String::as_str).chain(["/"]);
            paths.map(|path| request(*method, path))
        });
        let others = beside
            .iter()
            .map(String::as_str)
            .chain(PATHS.iter().copied());
        let others = others.map(|path| request("GET", path));
        for one in own.chain(others).chain(known) {
            if !requests.contains(&one) && requests.len() < MOST {
                requests.push(one);
            }
        }
    }
    requests
}

/// True if any location requires a password.
fn asks_passwords(directives: &[Directive]) -> bool {
    directives
        .iter()
        .any(|one| one.name() == "auth_basic_user_file" || asks_passwords(&one.block))
}

/// Collects the paths of all locations that are not patterns.
fn collect(directives: &[Directive], paths: &mut Vec<String>) {
    for one in directives {
        if one.name() == "location"
            && let Some(path) = written(one)
        {
            // As a client sends it.
            let sent = percent::path(path);
            if !paths.contains(&sent) {
                paths.push(sent);
            }
        }
        collect(&one.block, paths);
    }
}
