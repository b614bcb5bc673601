//! `[bridge]`: WebSocket connections that are relayed to sockets, their access rules and their targets. Resolves no
//! token and knows nothing of the WebSocket protocol.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::consoles::Consoles;
use super::endpoint::Endpoint;
use super::entrance::Entrance;
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::recording::Recording;
use super::rfb::Rfb;
use super::session::SessionRule;
use super::shared::{ConsoleSharing, ForAll, RelatedSettings};
use super::signed::Signed;
use super::size::{GIB, KIB, MIB};
use super::subprotocols;
use super::target_tls::TargetTls;
use super::token_source::TokenSource;
use super::value;

/// One `[[bridge.target]]`: a token with a fixed address, which has precedence over the token sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticTarget {
    /// `token`: matches this name, plain or in base64url. Never empty, and no two targets share
    /// one.
    pub token: String,
    /// `address`: the address of the target.
    pub address: Endpoint,
    /// `tls`: the encryption of the connection. Default `None`: none.
    pub tls: Option<TargetTls>,
    /// `rfb`: the settings for speaking RFB with it. Default `None`: as `[bridge.rfb]` says.
    pub rfb: Option<Rfb>,
    /// `shared`: the settings for sharing one connection among its viewers. Default `None`: as `[bridge.shared]` says.
    pub shared: Option<ConsoleSharing>,
    /// `subprotocols`: those it speaks beside `binary` and `base64`. Default `None`: those of `[bridge]`.
    pub subprotocols: Option<Vec<String>>,
}

/// The `[bridge]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Bridge {
    /// `paths`: the paths that are upgraded, with or without a slash at the end. At `/` only a WebSocket
    /// with a token is meant, all else is for files and apps. Never empty. Default `/websockify`.
    pub paths: Vec<String>,
    /// `origins`, `missing-origin`, `users`, `realm`, `client-certificate` and `client-names`: the requirements for a
    /// client.
    pub entrance: Entrance,
    /// `session`: requires a session of the visitor at the app. Default `None`: as soon as `[session]` has a question.
    /// A file that requires one has one.
    pub session: Option<SessionRule>,
    /// `connect`: to open the connection to the target, then the client is refused. Default 5 s.
    pub connect: Duration,
    /// `idle`: without a byte either way, then close 1001. Default `None`, `"off"`: a console may
    /// be silent for days.
    pub idle: Option<Duration>,
    /// `heartbeat`: the interval of pings; after two without a pong the tunnel is closed. Default 30 s. `None`,
    /// `"off"`: a peer that vanished is found only when something is sent to it.
    pub heartbeat: Option<Duration>,
    /// `frame-size`: the largest frame sent to the client, 256 bytes to 16 MiB. Default 64 KiB.
    pub frame_size: usize,
    /// `upload-buffer`: bytes kept for a target that does not read, beyond which the tunnel is
    /// closed with 1013 (HTTP/2 only; on HTTP/1.1 the client is slowed down instead). 1 KiB to 1
    /// GiB, default 1 MiB.
    pub upload_buffer: usize,
    /// `http2`: permits WebSockets in HTTP/2 streams (RFC 8441). Default `true`.
    pub http2: bool,
    /// `token-retry`: the time for which an empty token file, which is being written, is read again. Default 500 ms.
    pub token_retry: Duration,
    /// `token-file-size`: the largest token file that is read, 1 KiB to 1 GiB. Default 16 MiB, some 300,000 lines. A
    /// larger file gives no token, and is reported.
    pub token_file_size: u64,
    /// `recheck-tokens`: the interval of checking that the token of an open tunnel still leads to the same target; else
    /// the tunnel is closed. Default `None`, `"off"`.
    pub recheck_tokens: Option<Duration>,
    /// `host-token`: takes the host name of the request as the token, instead of the query. Default `false`.
    pub host_token: bool,
    /// `token-cookie`: the cookie with the token of a request that has none in its query. Default `None`: the query
    /// alone counts.
    pub token_cookie: Option<String>,
    /// `subprotocols`: those that targets speak beside `binary` and `base64`, unless their table says others. The bytes
    /// of messages go to the target as they are. Default none.
    pub subprotocols: Vec<String>,
    /// `[bridge.signed]`: tokens that are signed links.
    pub signed: Signed,
    /// `[[bridge.tokens]]`: searched in this order; the first that knows the token counts.
    pub tokens: Vec<TokenSource>,
    /// `[[bridge.target]]`: searched before `tokens`.
    pub targets: Vec<StaticTarget>,
    /// `[bridge.rfb]`: the settings of RFB for all targets and sources without a table of their own. Default no.
    pub rfb: Rfb,
    /// `[bridge.shared]`: the settings of shared consoles for all targets and sources without a table of their own.
    /// Default no.
    pub shared: ConsoleSharing,
    /// `[bridge.recording]`: the recording of consoles.
    pub recording: Recording,
    /// `[bridge.consoles]`: the pages on which consoles are found and opened.
    pub consoles: Consoles,
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
            token_file_size: 16 * MIB,
            recheck_tokens: None,
            host_token: false,
            token_cookie: None,
            subprotocols: Vec::new(),
            signed: Signed::default(),
            tokens: Vec::new(),
            targets: Vec::new(),
            rfb: Rfb::default(),
            shared: ConsoleSharing::default(),
            recording: Recording::default(),
            consoles: Consoles::default(),
            boundaries: BTreeMap::new(),
        }
    }
}

impl Bridge {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        let (rfb, shared) = (
            Rfb::read_for_bridge(table),
            ConsoleSharing::read_for_bridge(table),
        );
        let boundaries: BTreeMap<String, String> =
            table.table("boundaries", |names| names.map(parse_marker));
        let for_all = ForAll {
            rfb: &rfb,
            shared: &shared,
        };
        ConsoleSharing::check_for_all(&for_all, table);
        let tokens = table.tables("tokens", |table| TokenSource::read(table, &for_all));
        let targets = StaticTarget::read_all(table, &for_all, &boundaries);
        let bridge = Self {
            paths: table.list("paths", default.paths, parse_path),
            entrance: Entrance::read(table),
            session: SessionRule::read(table),
            connect: table.time_limit("connect", default.connect),
            idle: table.time_limit_or_off("idle", default.idle),
            heartbeat: table.time_limit_or_off("heartbeat", default.heartbeat),
            frame_size: table.buffer("frame-size", default.frame_size, 256..=16 * MIB),
            upload_buffer: table.buffer("upload-buffer", default.upload_buffer, KIB..=GIB),
            http2: table.flag("http2", default.http2),
            token_retry: table.duration("token-retry", default.token_retry),
            token_file_size: table.buffer(
                "token-file-size",
                usize::try_from(default.token_file_size).unwrap_or(usize::MAX),
                KIB..=GIB,
            ) as u64,
            recheck_tokens: table.time_limit_or_off("recheck-tokens", default.recheck_tokens),
            host_token: table.flag("host-token", default.host_token),
            token_cookie: table.text("token-cookie", None, |text| parse_cookie(text).map(Some)),
            subprotocols: subprotocols::read(table).unwrap_or_default(),
            signed: table.table("signed", Signed::read),
            tokens,
            targets,
            rfb,
            shared,
            recording: table.table("recording", Recording::read),
            consoles: table.table("consoles", Consoles::read),
            boundaries,
        };
        if table.is_sound() && bridge.host_token && bridge.token_cookie.is_some() {
            table.problem(
                "token-cookie",
                "is never looked at where the host is the token; remove it, or host-token",
            );
        }
        if table.is_sound() && bridge.paths.is_empty() {
            table.problem(
                "paths",
                r#"without a path nothing can connect; write ["/websockify"]"#,
            );
        }
        bridge
    }

    /// True if any token can lead anywhere.
    pub(super) fn has_targets(&self) -> bool {
        let named = self.signed.is_on() && !self.signed.allow.is_empty();
        named || !self.tokens.is_empty() || !self.targets.is_empty()
    }
}

impl StaticTarget {
    fn read_all(
        bridge: &mut Table<'_>,
        for_all: &ForAll<'_>,
        boundaries: &BTreeMap<String, String>,
    ) -> Vec<Self> {
        let mut targets: Vec<Self> = Vec::new();
        // A set, because a file may have tens of thousands.
        let mut names = HashSet::new();
        bridge.each_table("target", |table| {
            let token = table.required("token", r#""woknotifications""#, value::not_empty);
            let address = table.required("address", r#""unix:/path""#, Endpoint::parse);
            let tls = TargetTls::read(table);
            let rfb = Rfb::read(table);
            let shared = ConsoleSharing::read(table);
            let subprotocols = subprotocols::read(table);
            // A missing key has been reported; there is nothing to compare with.
            let (Some(token), Some(address)) = (token, address) else {
                return;
            };
            if !names.insert(token.clone()) {
                // Tokens are secrets, and this goes into logs.
                table.problem("token", "another target has this token; remove one of them");
            }
            if rfb.as_ref().is_some_and(|rfb: &Rfb| rfb.ports.is_some()) {
                table.problem(
                    "rfb",
                    "has ports, which tell the targets of a source apart; this one has its address, so remove them",
                );
            }
            if let (Endpoint::Unix(_), Some(TargetTls { name: None, .. })) = (&address, &tls) {
                table.problem(
                    "tls",
                    "a UNIX socket has no host name; write the one in the certificate as tls.name",
                );
            }
            let beside = RelatedSettings {
                rfb: rfb.as_ref(),
                subprotocols: subprotocols.as_deref(),
                has_boundary: boundaries.contains_key(&token),
            };
            ConsoleSharing::check_beside(shared.as_ref(), &beside, for_all, table);
            targets.push(Self {
                token,
                address,
                tls,
                rfb,
                shared,
                subprotocols,
            });
        });
        targets
    }
}

/// Many pages have `/websockify/`; it is the same path here, with or without the slash.
fn parse_path(text: &str) -> Result<String, String> {
    let bare = match text.strip_suffix('/') {
        Some(bare) if !bare.is_empty() => bare,
        _ => text,
    };
    PathPrefix::parse(bare).map(Into::into)
}

/// Parses the name of a cookie (RFC 6265 §4.1.1).
fn parse_cookie(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#"{text:?} is not the name of a cookie; write for example "token""#
        ))
    }
}

/// An empty marker would be found everywhere and mark nothing.
fn parse_marker(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("the marker is empty; write the text that ends a message, such as \"//EOM//\", or remove the \
             line".to_owned())
    } else {
        Ok(text.to_owned())
    }
}
