//! A message, its id, and where a subscriber stands. Knows no channel's rules and no transport.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::config::ChannelName;
use crate::hub::event_name;
use crate::hub::forms::Forms;
use crate::hub::publisher_id::PublisherId;

/// What a message costs beside its text: the entry, the counters, the forms' places.
const OVERHEAD: usize = 256;

/// One run of a hub, or of a store: offsets of two epochs cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// A new one: eight letters and digits that no other run has had. They are not a secret.
    #[must_use]
    pub fn new() -> Self {
        const SIGNS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        // The keys of a `RandomState` are random; the time makes sure even where they are not.
        let mut random = RandomState::new().hash_one(unix_milliseconds());
        let mut text = String::with_capacity(8);
        for _ in 0..8 {
            let sign = SIGNS.get((random % 32) as usize).copied();
            text.push(char::from(sign.unwrap_or(b'0')));
            random /= 32;
        }
        Self(text.into())
    }

    /// Reads what [`Display`](fmt::Display) has written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let sound = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        sound.then(|| Self(text.into()))
    }
}

impl Default for Epoch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a message, and at the same time a place between two messages: behind that one. All channels share
/// one sequence, so one id says how far a subscriber of any number of channels has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// Which sequence.
    pub epoch: Epoch,
    /// The place in it; the first message has 1.
    pub offset: u64,
}

impl EventId {
    /// Reads `epoch:offset`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, offset) = text.split_once(':')?;
        if !offset.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            epoch: Epoch::parse(epoch)?,
            offset: offset.parse().ok()?,
        })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}

/// Where a subscriber begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// With what is published from now on.
    Now,
    /// With the oldest message there is.
    Earliest,
    /// Behind this one.
    After(EventId),
    /// With the oldest message there is, since the id it gave is none of ours.
    Unknown,
}

impl From {
    /// Reads a cursor as clients send it. One that makes no sense is a gap, not an error: the client would come
    /// back with the same one for ever.
    #[must_use]
    pub fn parse(cursor: Option<&str>) -> Self {
        match cursor {
            None | Some("") => Self::Now,
            Some("earliest") => Self::Earliest,
            Some(text) => EventId::parse(text).map_or(Self::Unknown, Self::After),
        }
    }
}

/// What the data of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// One JSON value, on one line.
    Json,
    /// Any bytes.
    Bytes,
}

/// The data of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    kind: Kind,
    bytes: Bytes,
}

impl Data {
    /// Text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Text,
            bytes: text.into().into(),
        }
    }

    /// Text, if it is UTF-8, else bytes.
    #[must_use]
    pub fn text_or_bytes(bytes: Bytes) -> Self {
        let kind = match std::str::from_utf8(&bytes) {
            Ok(_) => Kind::Text,
            Err(_) => Kind::Bytes,
        };
        Self { kind, bytes }
    }

    /// Any bytes.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Bytes,
            bytes: bytes.into(),
        }
    }

    /// A JSON value.
    ///
    /// # Errors
    /// Where and why it is not one.
    pub fn json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(Self::raw)
    }

    /// A JSON value that was parsed.
    #[must_use]
    pub fn raw(value: &RawValue) -> Self {
        // Inside strings line breaks are escaped, so these are between values and mean nothing; an event
        // stream would end the line there.
        let line = value.get().trim().replace(['\n', '\r'], " ");
        Self {
            kind: Kind::Json,
            bytes: line.into(),
        }
    }

    /// As it was stored: `None` if the bytes are not what `kind` says.
    #[must_use]
    pub fn stored(kind: Kind, bytes: Bytes) -> Option<Self> {
        let sound = kind == Kind::Bytes || std::str::from_utf8(&bytes).is_ok();
        sound.then_some(Self { kind, bytes })
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The bytes of it.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The text of it, unless it is bytes.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.kind {
            Kind::Bytes => None,
            Kind::Text | Kind::Json => std::str::from_utf8(&self.bytes).ok(),
        }
    }
}

/// A message before it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The name of the event, if it has one.
    pub event: Option<Box<str>>,
    /// What it is about: where only the newest matters, a later message with the same key replaces it.
    pub key: Option<Box<str>>,
    /// What its publisher calls it: a second message with the same id is not published.
    pub id: Option<PublisherId>,
    /// The data.
    pub data: Data,
}

/// The longest event name and key: they go into each copy.
const LONGEST_LABEL: usize = 256;

impl Draft {
    /// Only data.
    #[must_use]
    pub fn new(data: Data) -> Self {
        Self {
            event: None,
            key: None,
            id: None,
            data,
        }
    }

    /// The bytes of it, for limits.
    #[must_use]
    pub fn size(&self) -> usize {
        let label = |label: &Option<Box<str>>| label.as_ref().map_or(0, |label| label.len());
        self.data.as_bytes().len() + label(&self.event) + label(&self.key)
    }

    /// What is wrong with the event name or the key, if anything: a line break would end the line of an event
    /// stream, and forge what follows; the name of a signal would forge that.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        if self.event.as_deref().is_some_and(event_name::is_reserved) {
            return Some(event_name::REFUSAL);
        }
        self.label_fault()
    }

    /// What is wrong with the form of the event name or the key.
    pub(super) fn label_fault(&self) -> Option<&'static str> {
        let labels = || self.event.iter().chain(&self.key);
        if labels().any(|label| label.len() > LONGEST_LABEL) {
            return Some("an event name and a key have at most 256 bytes");
        }
        if labels().any(|label| label.contains(ends_a_line)) {
            return Some("an event name and a key have no control characters");
        }
        None
    }
}

/// Control characters, and what Unicode calls a line: many readers split the lines of an event stream there.
fn ends_a_line(sign: char) -> bool {
    sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}')
}

/// A published message. It is never changed, and shared by all who have to get it.
#[derive(Debug)]
pub struct Message {
    /// Its id.
    pub id: EventId,
    /// Where it was published.
    pub channel: ChannelName,
    /// What was published.
    pub draft: Draft,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// When it came, by the clock that no one sets: how old it is must not change with the machine's clock.
    pub(super) came: Instant,
    pub(super) forms: Forms,
}

impl Message {
    /// A message at its place, published at `time` and here since `came`. The name of a signal is taken off: what an
    /// older Noren has put into a history may have one.
    #[must_use]
    pub fn new(
        id: EventId,
        channel: ChannelName,
        mut draft: Draft,
        time: u64,
        came: Instant,
    ) -> Self {
        draft.event = draft.event.filter(|name| event_name::may_be_shown(name));
        Self {
            id,
            channel,
            draft,
            time,
            came,
            forms: Forms::default(),
        }
    }

    /// The key by which a later message replaces it, apart from all keys of publishers where it is the hub's own: they
    /// have no control characters.
    #[must_use]
    pub(super) fn subject(&self) -> Option<Box<str>> {
        if self.draft.event.as_deref() == Some(event_name::PRESENCE) {
            return Some("\0".into());
        }
        self.draft.key.clone()
    }

    /// What it counts in a history and in the budget of a subscriber.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.draft.size() + OVERHEAD
    }
}

/// The time of a message.
#[must_use]
pub fn unix_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// How old a message of this time is, by the machine's clock. One of the future, which a clock that was put back
/// leaves behind, is new.
#[must_use]
pub fn age_of(time: u64) -> Duration {
    Duration::from_millis(unix_milliseconds().saturating_sub(time))
}

/// When something of this age came.
#[must_use]
pub fn came_before(age: Duration) -> Instant {
    let now = Instant::now();
    // An age beyond the range of the clock is none that a message has.
    now.checked_sub(age).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = EventId {
            epoch: Epoch::new(),
            offset: 42,
        };
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for text in [
            "", "42", ":42", "a:", "a:-1", "a:+1", "a:1:2", "a b:1", "é:1",
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn two_epochs_differ() {
        assert_ne!(Epoch::new(), Epoch::new());
    }

    #[test]
    fn a_cursor_that_makes_no_sense_is_a_gap() {
        assert_eq!(From::parse(None), From::Now);
        assert_eq!(From::parse(Some("earliest")), From::Earliest);
        assert_eq!(From::parse(Some("nonsense")), From::Unknown);
    }

    #[test]
    fn a_json_value_is_one_line() {
        let data = Data::json(" {\"a\":\r\n [1,\n2], \"b\": \"x\\ny\"} ").expect("a value");
        assert_eq!(data.as_text(), Some("{\"a\":   [1, 2], \"b\": \"x\\ny\"}"));
        assert!(Data::json("{} {}").is_err());
    }

    #[test]
    fn labels_that_would_break_a_line_are_refused() {
        let mut draft = Draft::new(Data::text("x"));
        assert_eq!(draft.fault(), None);
        draft.event = Some("a\nid: 1".into());
        assert!(draft.fault().is_some());
    }
}
