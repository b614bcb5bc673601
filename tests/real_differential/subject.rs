//! One server with its app, and the doors before it.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use super::corpus::{Case, for_http2};
use super::exchange::{Reply, exchange, exchange_http2};
use crate::harness::{Door, Http2, Identity};
use crate::support::Peer;

/// Number of failed logins a minute that the strict server accepts.
pub(super) const LOGINS: usize = 3;

/// Hosts with an app each, which guard the same paths in different ways.
pub(super) const HOSTS: [&str; 3] = ["door.example", "also.example", "certificates.test"];

/// A server under comparison.
pub(super) struct Subject {
    /// The server itself, without a door.
    pub app: SocketAddr,
    /// A door that counts no logins.
    pub door: Door,
    /// One that does.
    pub strict: Door,
    /// A connection to the first; the hosts with a name in its certificate are asked there too.
    http2: Http2,
    _peer: Peer,
    _files: TempDir,
}

impl Subject {
    /// Opens both doors; `settings` are further keys of each app.
    pub(super) async fn open(peer: Peer, settings: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        fs::create_dir_all(path("static/private")).unwrap();
        fs::write(path("static/private/page"), "GUARDED").unwrap();
        fs::write(path("users"), "ann:right\n").unwrap();
        Identity::new(files.path(), &["authority"]);
        let mut apps = String::new();
        for host in HOSTS {
            let guard = if host == HOSTS[2] {
                "client-certificate = 'required'\n".to_owned()
            } else {
                format!("users = '{}'\n", path("users"))
            };
            let slashes = host == HOSTS[1];
            for (at, (prefix, guard)) in [
                ("/", ""),
                ("/wok", "server-root = '/wok'\n"),
                ("/admin", guard.as_str()),
                ("/wok/admin", guard.as_str()),
                ("/static/private", guard.as_str()),
            ]
            .into_iter()
            .enumerate()
            {
                write!(
                    apps,
                    "[[app]]\nname = '{host}-{at}'\nurl = 'http://{}'\nhosts = ['{host}']\npath = '{prefix}'\n{guard}\
                     workers = 10\nencoded-slash = {slashes}\nuser-header = 'X-Remote-User'\n\
                     certificate-header = 'X-Client-Name'\n{settings}",
                    peer.address
                )
                .unwrap();
            }
            write!(
                apps,
                "[[files]]\npath = '/static'\ndirectory = '{}'\nhosts = ['{host}']\n",
                path("static")
            )
            .unwrap();
        }
        let channels = "[session]\npath = '/session'\ncookies = ['wok']\nname-header = 'Remote-User'\n\
             allow-cache = '1m'\ninterval = '1m'\n\
             [[channel]]\nname = 'lobby'\npublish = ['app']\nreceive = '/receive'\n\
             [[channel]]\nname = 'kitchen'\npublish = ['app']\nreceive = '/receive'\npublishers = ['nobody']\n\
             [limits]\nrequest-rate = 0\nconnections-per-address = 0\n";
        let keys = format!(
            "client-authority = '{}'\nclient-certificate = 'optional'\n",
            path("authority.pem")
        );
        let door = |logins: usize| {
            let settings = format!("{apps}{channels}login-failures = {logins}\n");
            let keys = keys.clone();
            async move { Door::open_with_listener(&keys, &settings).await }
        };
        let lenient = door(0).await;
        Self {
            http2: Http2::open(&lenient).await,
            app: peer.address.parse().unwrap(),
            door: lenient,
            strict: door(LOGINS).await,
            _peer: peer,
            _files: files,
        }
    }

    /// A case through the door that counts no logins.
    pub(super) async fn ask(&self, case: &Case, words: &[(&str, &str)]) -> Reply {
        let mut all = words.to_vec();
        all.push(("host", HOSTS[0]));
        exchange(self.door.http, "127.0.0.1", &case.bytes(&all)).await
    }

    /// The same over HTTP/2, as far as it can be said there.
    pub(super) async fn ask_http2(&self, case: &Case, words: &[(&str, &str)]) -> Option<Reply> {
        let mut all = words.to_vec();
        all.push(("host", HOSTS[0]));
        let host = all.iter().find(|(word, _)| *word == "host")?.1;
        let (request, body) = for_http2(&case.bytes(&all), host)?;
        Some(exchange_http2(&self.http2, request, body).await)
    }

    /// The answers in both versions of HTTP.
    pub(super) async fn ask_both(&self, case: &Case, words: &[(&str, &str)]) -> Vec<Reply> {
        let mut replies = vec![self.ask(case, words).await];
        replies.extend(self.ask_http2(case, words).await);
        replies
    }
}
