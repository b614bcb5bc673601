//! `[hub]`: the settings that all channels share: the address, the access, and the limits of subscribers. Knows no
//! channel.

use std::path::PathBuf;
use std::time::Duration;

use super::channel_tokens::ChannelTokens;
use super::entrance::Entrance;
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::session::SessionRule;
use super::size::{GIB, KIB, MIB};
use super::value;

/// The `[hub]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Hub {
    /// `path`: the path below which channels are served. Default `/events`.
    pub path: String,
    /// `origins`, `missing-origin`, `users`, `realm`, `client-certificate` and `client-names`: the requirements for a
    /// client. Plain GETs of the same site have no `Origin` and need none.
    pub entrance: Entrance,
    /// `session`: requires a session of the app from subscribers and publishers. Default `None`: as soon as `[session]`
    /// has a question.
    pub session: Option<SessionRule>,
    /// `heartbeat`: the interval of pings on a WebSocket; after two without a pong it is closed. Default 30 s.
    pub heartbeat: Duration,
    /// `keep-alive`: between two signs of life of a silent event stream. Default 15 s, below the
    /// minute after which proxies and phones give up.
    pub keep_alive: Duration,
    /// `retry`: subscribers reconnect after one to two times this time. Default 2 s.
    pub retry: Duration,
    /// `poll-wait`: the longest wait of a long poll for a message. Default 25 s.
    pub poll_wait: Duration,
    /// `budget`: the bytes of messages that a subscriber may lag behind, 4 KiB to 1 GiB; beyond, the channel's `slow`
    /// decides. Default 1 MiB. They are shared with the history and cost nothing.
    pub budget: usize,
    /// `message-size`: the largest message, 1 KiB to 16 MiB; a larger one is refused with 413.
    /// Default 256 KiB.
    pub message_size: usize,
    /// `subscribers`: at once, on all channels; the next gets 503. Default 10,000.
    pub subscribers: usize,
    /// `connect-rate`: new subscribers a second; beyond it 503 with `Retry-After`. Default 4,000. One address has
    /// `limits.address-share` of it.
    pub connect_rate: u32,
    /// `channels`: the limit on open channels that patterns have created; the next gets 503. Default 10,000.
    pub channels: usize,
    /// `store`: the directory of the histories kept on disk. Default `/var/lib/noren`; not touched
    /// unless a channel has `history.store = "disk"`.
    pub store: PathBuf,
    /// `publish-token`: a file whose content, as a bearer token, permits to publish over HTTP on
    /// channels with `publish = ["token"]`. Default none.
    pub publish_token: Option<PathBuf>,
    /// `[hub.tokens]`: tokens that name the channels their bearer may listen to.
    pub tokens: ChannelTokens,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            path: "/events".to_owned(),
            entrance: Entrance::default(),
            session: None,
            heartbeat: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            poll_wait: Duration::from_secs(25),
            budget: 1 << 20,
            message_size: 256 << 10,
            subscribers: 10_000,
            connect_rate: 4_000,
            channels: 10_000,
            store: PathBuf::from("/var/lib/noren"),
            publish_token: None,
            tokens: ChannelTokens::default(),
        }
    }
}

impl Hub {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            path: table.text("path", default.path, parse_path),
            entrance: Entrance::read(table),
            session: SessionRule::read(table),
            heartbeat: table.time_limit("heartbeat", default.heartbeat),
            keep_alive: table.time_limit("keep-alive", default.keep_alive),
            retry: table.time_limit("retry", default.retry),
            poll_wait: table.time_limit("poll-wait", default.poll_wait),
            budget: table.buffer("budget", default.budget, 4 * KIB..=GIB),
            message_size: table.buffer("message-size", default.message_size, KIB..=16 * MIB),
            subscribers: table.number("subscribers", default.subscribers, 1..=1_000_000),
            connect_rate: table.number("connect-rate", default.connect_rate, 1..=1_000_000),
            channels: table.number("channels", default.channels, 1..=1_000_000),
            store: table.text("store", default.store, value::path),
            publish_token: table.text("publish-token", None, |text| {
                value::secret_path(text).map(Some)
            }),
            tokens: table.table("tokens", ChannelTokens::read),
        }
    }
}

/// Parses the path of the hub. The root is refused, because it would leave no path for an app.
fn parse_path(text: &str) -> Result<String, String> {
    let path: String = PathPrefix::parse(text)?.into();
    if path.is_empty() || path == "/" {
        return Err(r#""/" would take every address from the apps; write "/events""#.to_owned());
    }
    Ok(path)
}
