//! `[app.grip]`: an app that answers with instructions of GRIP (<https://pushpin.org/docs/protocols/grip/>). Reads no
//! key.

use std::time::Duration;

use super::channel::{Channel, History};
use super::channel_name::{ChannelName, ChannelPattern};
use super::reader::Table;
use super::secret_file::SecretFile;
use super::value;

/// First word of the names of all channels of GRIP apps. No `[[channel]]` and no client can name one.
const NAMESPACE: &str = "grip";
/// Longest encoded names of an app and of a channel; a longer one is replaced with its hash. Together they are a name.
const LONGEST_APP: usize = 40;
const LONGEST_CHANNEL: usize = 80;

/// The `[app.grip]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Grip {
    /// `keys`: files with the keys of `Grip-Sig` and of publishers. The first that can sign signs; all of them verify.
    pub keys: Vec<SecretFile>,
    /// `issuer`: the claim `iss` of `Grip-Sig`. Default `noren`.
    pub issuer: String,
    /// `over-http`: sends the events of the app's WebSockets as requests (WebSocket-over-HTTP). Default yes; with no
    /// they are passed through to the app as WebSockets.
    pub over_http: bool,
    /// `refresh`: the shortest time between two fetches of the next link of a stream that has missed nothing. Default
    /// 10 min; 0 believes the link's own timeout.
    pub refresh: Duration,
    /// `resume`: the time after a loss in which a visitor with the same address and headers continues from the history,
    /// behind the last event it has seen, without a request to the app. Default 0: each is a request.
    pub resume: Duration,
    /// `session`: ends held connections with the visitor's session: each sends the query of `[session]`. Default no.
    pub session: bool,
    /// `[app.grip.history]`: the messages kept for those that come back.
    pub history: History,
}

impl Default for Grip {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            issuer: "noren".to_owned(),
            over_http: true,
            refresh: Duration::from_secs(600),
            resume: Duration::ZERO,
            session: false,
            history: History::default(),
        }
    }
}

impl Grip {
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let has = table.has("grip");
        let grip = table.table("grip", |table| {
            let default = Self::default();
            let grip = Self {
                keys: table.list("keys", default.keys, SecretFile::parse),
                issuer: table.text("issuer", default.issuer, value::not_empty),
                over_http: table.flag("over-http", default.over_http),
                refresh: table.duration("refresh", default.refresh),
                resume: table.duration("resume", default.resume),
                session: table.flag("session", default.session),
                history: table.table("history", History::read),
            };
            if has && table.is_sound() && grip.keys.is_empty() {
                table.problem(
                    "keys",
                    "is missing, and without a key nobody could publish; make one with: openssl rand -hex 32, and \
                     write keys = [\"/etc/noren/grip.key\"]",
                );
            }
            grip
        });
        has.then_some(grip)
    }

    /// The rules of all channels of this app.
    pub(super) fn channel(&self, app: &str) -> Option<Channel> {
        let name = format!("{NAMESPACE}.{}.*", word(app, LONGEST_APP));
        Some(Channel {
            app: Some(app.to_owned()),
            ..Channel::internal(&name, &self.history)?
        })
    }
}

impl ChannelName {
    /// The channel of a GRIP app. Names of GRIP are arbitrary text, so each is encoded as one word.
    #[must_use]
    pub fn of_grip(app: &str, channel: &str) -> Option<Self> {
        let (app, channel) = (word(app, LONGEST_APP), word(channel, LONGEST_CHANNEL));
        Self::parse(&format!("{NAMESPACE}.{app}.{channel}")).ok()
    }

    /// True for the channel of a GRIP app.
    #[must_use]
    pub fn is_of_grip(&self) -> bool {
        let rest = self.as_str().strip_prefix(NAMESPACE);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl Channel {
    /// True for the channels of a GRIP app, which no client can name.
    #[must_use]
    pub fn is_of_grip(&self) -> bool {
        self.name.is_of_grip()
    }
}

impl ChannelPattern {
    /// True if it names channels of GRIP apps.
    pub(super) fn is_of_grip(&self) -> bool {
        self.to_string().split('.').next() == Some(NAMESPACE)
    }
}

/// A text as one word of a channel name. No two texts have the same: `_` is always followed by two capital
/// hexadecimal digits or by `h`.
fn word(text: &str, longest: usize) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0');
    let mut word = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            word.push(char::from(byte));
        } else {
            word.push('_');
            word.push(char::from(digit(byte >> 4)));
            word.push(char::from(digit(byte)));
        }
    }
    match word.len() {
        0 => "_h".to_owned(),
        length if length > longest => hashed(text),
        _ => word,
    }
}

/// The hash of a text that is too long for a name.
fn hashed(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let half = digest.as_ref().iter().take(16);
    half.fold("_h".to_owned(), |word, byte| format!("{word}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_of_grip_has_a_name_of_its_own() {
        let name = |app: &str, channel: &str| {
            let name = ChannelName::of_grip(app, channel).expect("a name");
            assert!(name.is_of_grip());
            name.to_string()
        };
        assert_eq!(name("wok", "events-time"), "grip.wok.events-time");
        assert_eq!(name("a.b", "room/1 é"), "grip.a_2Eb.room_2F1_20_C3_A9");
        assert_eq!(name("a", ""), "grip.a._h");
        let long = "x".repeat(500);
        let others = ["_h", "_2F", "/", "a_b", "a.b", &long, &format!("{long}x")];
        let names: std::collections::HashSet<_> =
            others.iter().map(|other| name("app", other)).collect();
        assert_eq!(names.len(), others.len());
        let longest = name(&"a".repeat(64), &long);
        assert!(longest.len() <= 128, "{longest}");
    }

    #[test]
    fn other_channels_are_none_of_grip() {
        for text in ["grips.a", "a.grip", "job.17"] {
            assert!(
                !ChannelName::parse(text).expect("a name").is_of_grip(),
                "{text}"
            );
        }
    }
}
