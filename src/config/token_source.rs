//! `[[bridge.tokens]]`: the places that know tokens, and the targets that they may name. Connects to nothing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::http_source::{HttpSource, TIMEOUT};
use super::nova_source::NovaSource;
use super::reader::Table;
use super::rfb::Rfb;
use super::secret_file::SecretFile;
use super::shared::{ConsoleSharing, ForAll, RelatedSettings};
use super::subprotocols;
use super::target_rule::TargetRule;
use super::target_tls::TargetTls;
use super::value;

/// One `[[bridge.tokens]]`: something that knows where a token leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSource {
    /// `source`, with the keys that belong to it.
    pub kind: SourceKind,
    /// `allow`: the only targets this source may name. `None`, the default of files and
    /// directories: any. The sources in the network must say it.
    pub allow: Option<Vec<TargetRule>>,
    /// `tls`: the encryption of connections to its targets. Default `None`: none.
    pub tls: Option<TargetTls>,
    /// `rfb`: the settings for speaking RFB with them. Default `None`: as `[bridge.rfb]` says.
    pub rfb: Option<Rfb>,
    /// `shared`: the settings for sharing one connection among the viewers of one of them. Default `None`: as
    /// `[bridge.shared]` says.
    pub shared: Option<ConsoleSharing>,
    /// `subprotocols`: those its targets speak beside `binary` and `base64`. Default `None`: those of `[bridge]`.
    pub subprotocols: Option<Vec<String>>,
}

/// The backend of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// `directory`: websockify token files, read again at each connection.
    Directory(PathBuf),
    /// `file`: one websockify token file, lines of `token: host:port` or `token:
    /// unix_socket:/path`.
    File(PathBuf),
    /// `file-name`: a directory in which the token is the name of a file with one address
    /// (websockify's `TokenFileName`).
    FileName(PathBuf),
    /// `sockets`: a directory of UNIX sockets; the token is the socket's name, plain or in
    /// base64url.
    Sockets(PathBuf),
    /// `http`: an HTTP API (websockify's `BaseTokenAPI` and `JSONTokenApi`).
    Http(HttpSource),
    /// `nova`: the API of OpenStack's Nova, which knows the tokens of consoles.
    Nova(NovaSource),
    /// `redis`: a key of a Redis server (websockify's `TokenRedis`).
    Redis(RedisSource),
}

impl SourceKind {
    /// True for a source in the network.
    #[must_use]
    pub fn is_in_network(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Nova(_) | Self::Redis(_))
    }
}

/// The keys of `source = "redis"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSource {
    /// `address`: the server.
    pub address: Endpoint,
    /// `database`: its number. Default 0.
    pub database: i64,
    /// `user`: for servers with access lists. Default `None`.
    pub user: Option<String>,
    /// `password`: the file it is in. Default `None`.
    pub password: Option<SecretFile>,
    /// `namespace`: the key is `namespace:token`. Default `None`: the token.
    pub namespace: Option<String>,
    /// `timeout`: the time from connecting to the response. Default 5 s.
    pub timeout: Duration,
}

impl TokenSource {
    /// A source whose owner is trusted, without TLS.
    pub fn trusted(kind: SourceKind) -> Self {
        Self {
            kind,
            allow: None,
            tls: None,
            rfb: None,
            shared: None,
            subprotocols: None,
        }
    }

    pub(super) fn read(table: &mut Table<'_>, for_all: &ForAll<'_>) -> Self {
        let kinds: [(&str, ReadKind); 7] = [
            ("directory", |table| SourceKind::Directory(path(table))),
            ("file", |table| SourceKind::File(path(table))),
            ("file-name", |table| SourceKind::FileName(path(table))),
            ("sockets", |table| SourceKind::Sockets(path(table))),
            ("http", |table| SourceKind::Http(HttpSource::read(table))),
            ("nova", |table| SourceKind::Nova(NovaSource::read(table))),
            ("redis", |table| SourceKind::Redis(RedisSource::read(table))),
        ];
        let kind = table.required("source", r#""directory""#, |text| {
            value::choice(text, &kinds)
        });
        let kind = match kind {
            Some(read) => read(table),
            None => unknown(table),
        };
        let limited = table.has("allow");
        let allow = table.list("allow", Vec::new(), TargetRule::parse);
        let allow = limited.then_some(allow);
        if allow.is_none() && kind.is_in_network() && table.is_sound() {
            table.problem(
                "allow",
                "is missing: a source in the network may name only what is allowed; write for example allow = \
                    [\"10.0.0.0/8:5900-5999\"]",
            );
        }
        let source = Self {
            kind,
            allow,
            tls: TargetTls::read(table),
            rfb: Rfb::read(table),
            shared: ConsoleSharing::read(table),
            subprotocols: subprotocols::read(table),
        };
        let beside = RelatedSettings {
            rfb: source.rfb.as_ref(),
            subprotocols: source.subprotocols.as_deref(),
            has_boundary: false,
        };
        ConsoleSharing::check_beside(source.shared.as_ref(), &beside, for_all, table);
        source
    }
}

/// Reads the keys that belong to a kind of source.
type ReadKind = fn(&mut Table<'_>) -> SourceKind;

/// A source of no known kind, which has been reported: its keys are not to be told one by one as well. What
/// stands in for it goes nowhere.
fn unknown(table: &mut Table<'_>) -> SourceKind {
    for key in [
        "path",
        "url",
        "address",
        "ca",
        "user",
        "password",
        "namespace",
        "timeout",
        "auth-url",
        "user-domain",
        "project",
        "project-domain",
        "application-credential",
        "secret",
        "region",
        "interface",
        "endpoint",
        "microversion",
        "lifetime",
    ] {
        table.text(key, (), |_| Ok(()));
    }
    table.list("serial-ports", Vec::new(), |_| Ok(()));
    for key in ["headers", "secret-headers", "answer"] {
        table.table(key, |table| table.each_named(|_, _| Ok(())));
    }
    SourceKind::Directory(PathBuf::new())
}

fn path(table: &mut Table<'_>) -> PathBuf {
    let path = table.required("path", r#""/var/lib/wok/ws-tokens""#, value::path);
    path.unwrap_or_default()
}

impl RedisSource {
    fn read(table: &mut Table<'_>) -> Self {
        let address = table.required("address", r#""localhost:6379""#, Endpoint::parse);
        Self {
            address: address.unwrap_or(Endpoint::Unix(PathBuf::new())),
            database: table.number("database", 0, 0..=1_000_000),
            user: table.text("user", None, |text| value::not_empty(text).map(Some)),
            password: table.text("password", None, |text| SecretFile::parse(text).map(Some)),
            namespace: table.text("namespace", None, |text| value::not_empty(text).map(Some)),
            timeout: table.time_limit("timeout", TIMEOUT),
        }
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            SourceKind::Directory(path) => write!(f, "directory {}", path.display()),
            SourceKind::File(path) => write!(f, "file {}", path.display()),
            SourceKind::FileName(path) => write!(f, "files named in {}", path.display()),
            SourceKind::Sockets(path) => write!(f, "sockets {}", path.display()),
            SourceKind::Http(http) => write!(f, "http {}", http.url),
            SourceKind::Nova(nova) => {
                write!(
                    f,
                    "nova {}",
                    nova.endpoint.as_ref().unwrap_or(&nova.auth_url)
                )?;
                match &nova.region {
                    Some(region) => write!(f, " {region}"),
                    None => Ok(()),
                }
            }
            SourceKind::Redis(redis) => write!(f, "redis {}", redis.address),
        }
    }
}
