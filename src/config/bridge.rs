//! `[bridge]`: WebSocket connections relayed to sockets, who may open them and where they lead.
//! Resolves no token and knows nothing of the WebSocket protocol.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::entrance::Entrance;
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::recording::Recording;
use super::session::SessionRule;
use super::size::{GIB, KIB, MIB};
use super::value;

/// One `[[bridge.tokens]]`: something that knows where a token leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A directory of websockify token files, read again at each connection.
    Directory(PathBuf),
    /// One websockify token file: lines of `token: host:port` or `token: unix_socket:/path`.
    File(PathBuf),
    /// A directory of UNIX sockets; the token is the socket's name, plain or in base64url.
    Sockets(PathBuf),
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "directory {}", path.display()),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Sockets(path) => write!(f, "sockets {}", path.display()),
        }
    }
}

/// One `[[bridge.target]]`: a token with a fixed address, asked before the token sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticTarget {
    /// `token`: matches this name, plain or in base64url. Never empty, and no two targets share
    /// one.
    pub token: String,
    /// `address`: where the token leads.
    pub address: Endpoint,
}

/// `[bridge]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Bridge {
    /// `paths`: the paths that are upgraded, matched exactly. Never empty. Default `/websockify`.
    pub paths: Vec<String>,
    /// `origins`, `missing-origin`, `users`, `realm`, `client-certificate` and `client-names`: who may
    /// come in.
    pub entrance: Entrance,
    /// `session`: whether the app must know the visitor. Default `None`: as soon as `[session]` has
    /// a question. A file that requires one has one.
    pub session: Option<SessionRule>,
    /// `connect`: to open the connection to the target, then the client is refused. Default 5 s.
    pub connect: Duration,
    /// `idle`: without a byte either way, then close 1001. Default `None`, `"off"`: a console may
    /// be silent for days.
    pub idle: Option<Duration>,
    /// `heartbeat`: between two pings; after two without an answer the tunnel is closed. Default 30
    /// s. `None`, `"off"`: a peer that vanished is found only when something is sent to it.
    pub heartbeat: Option<Duration>,
    /// `frame-size`: the largest frame sent to the client, 256 bytes to 16 MiB. Default 64 KiB.
    pub frame_size: usize,
    /// `upload-buffer`: bytes kept for a target that does not read, beyond which the tunnel is
    /// closed with 1013 (HTTP/2 only; on HTTP/1.1 the client is slowed down instead). 1 KiB to 1
    /// GiB, default 1 MiB.
    pub upload_buffer: usize,
    /// `http2`: whether a WebSocket may be opened in an HTTP/2 stream (RFC 8441). Default `true`.
    pub http2: bool,
    /// `token-retry`: how long an empty token file, which is one being written, is read again.
    /// Default 500 ms.
    pub token_retry: Duration,
    /// `[[bridge.tokens]]`: asked in this order; the first that knows the token wins.
    pub tokens: Vec<TokenSource>,
    /// `[[bridge.target]]`: asked before `tokens`.
    pub targets: Vec<StaticTarget>,
    /// `[bridge.recording]`: which consoles are recorded.
    pub recording: Recording,
    /// `[bridge.boundaries]`: name of a token to marker. Each frame sent to a client of that token
    /// ends right behind a marker. No marker is empty.
    pub boundaries: BTreeMap<String, String>,
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            paths: vec!["/websockify".to_owned()],
            entrance: Entrance::default(),
            session: None,
            connect: Duration::from_secs(5),
            idle: None,
            heartbeat: Some(Duration::from_secs(30)),
            frame_size: 64 << 10,
            upload_buffer: 1 << 20,
            http2: true,
            token_retry: Duration::from_millis(500),
            tokens: Vec::new(),
            targets: Vec::new(),
            recording: Recording::default(),
            boundaries: BTreeMap::new(),
        }
    }
}

impl Bridge {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        let bridge = Self {
            paths: table.list("paths", default.paths, |text| {
                PathPrefix::parse(text).map(Into::into)
            }),
            entrance: Entrance::read(table),
            session: SessionRule::read(table),
            connect: table.time_limit("connect", default.connect),
            idle: table.time_limit_or_off("idle", default.idle),
            heartbeat: table.time_limit_or_off("heartbeat", default.heartbeat),
            frame_size: table.buffer("frame-size", default.frame_size, 256..=16 * MIB),
            upload_buffer: table.buffer("upload-buffer", default.upload_buffer, KIB..=GIB),
            http2: table.flag("http2", default.http2),
            token_retry: table.duration("token-retry", default.token_retry),
            tokens: table.tables("tokens", TokenSource::read),
            targets: StaticTarget::read_all(table),
            recording: table.table("recording", Recording::read),
            boundaries: table.table("boundaries", |names| names.map(parse_marker)),
        };
        if table.is_sound() && bridge.paths.is_empty() {
            table.problem(
                "paths",
                r#"without a path nothing can connect; write ["/websockify"]"#,
            );
        }
        bridge
    }

    /// Whether any token can lead anywhere.
    pub(super) fn has_targets(&self) -> bool {
        !self.tokens.is_empty() || !self.targets.is_empty()
    }
}

impl TokenSource {
    fn read(table: &mut Table<'_>) -> Self {
        let kind = table.required("source", r#""directory""#, |text| {
            let kinds: [(&str, Kind); 3] = [
                ("directory", Self::Directory),
                ("file", Self::File),
                ("sockets", Self::Sockets),
            ];
            value::choice(text, &kinds)
        });
        let path = table.required("path", r#""/var/lib/wok/ws-tokens""#, value::path);
        // What is missing has been reported, so the stand-ins go nowhere.
        kind.unwrap_or(Self::Directory)(path.unwrap_or_default())
    }
}

/// What the `source` key chooses between: the variants of [`TokenSource`].
type Kind = fn(PathBuf) -> TokenSource;

impl StaticTarget {
    fn read_all(bridge: &mut Table<'_>) -> Vec<Self> {
        let mut targets: Vec<Self> = Vec::new();
        bridge.each_table("target", |table| {
            let token = table.required("token", r#""woknotifications""#, value::not_empty);
            let address = table.required("address", r#""unix:/path""#, Endpoint::parse);
            // What is missing has been reported; there is nothing to compare with.
            let (Some(token), Some(address)) = (token, address) else {
                return;
            };
            if targets.iter().any(|other| other.token == token) {
                let text = format!(r#"two targets have the token "{token}"; remove one"#);
                table.problem("token", text);
            }
            targets.push(Self { token, address });
        });
        targets
    }
}

/// An empty marker would be found everywhere and mark nothing.
fn parse_marker(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err(r#"the marker is empty; write the text that ends a message, such as "//EOM//", or remove the line"#.to_owned())
    } else {
        Ok(text.to_owned())
    }
}
