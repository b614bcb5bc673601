//! A message, its id, and the position of a subscriber. Independent of channel rules and transports.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::clock::now_milliseconds;
use crate::config::ChannelName;
use crate::hub::event_name;
use crate::hub::kind::Kind;
use crate::hub::publisher_id::PublisherId;
use crate::hub::wire_cache::WireCache;

/// Fixed memory cost of a message beside its text: the entry, the counters, the fields for encodings.
const OVERHEAD: usize = 256;

/// One run of a hub, or of a store: offsets of two epochs cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Epoch(Arc<str>);

impl Epoch {
    /// Creates a unique epoch of eight letters and digits. It is no secret.
    #[must_use]
    pub(crate) fn new() -> Self {
        const SIGNS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        // The keys of a `RandomState` are random; the time makes sure even where they are not.
        let mut random = RandomState::new().hash_one(now_milliseconds());
        let mut text = String::with_capacity(8);
        for _ in 0..8 {
            let sign = SIGNS.get((random % 32) as usize).copied();
            text.push(char::from(sign.unwrap_or(b'0')));
            random /= 32;
        }
        Self(text.into())
    }

    /// Parses the text that [`Display`](fmt::Display) writes.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
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

/// The id of a message, which is also a cursor: the position right behind that message. All channels share one
/// sequence, so one id is a position in any number of channels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EventId {
    /// The epoch (sequence) of the offset.
    pub epoch: Epoch,
    /// Position in the sequence; the first message has 1.
    pub offset: u64,
}

impl EventId {
    /// Parses `epoch:offset`.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
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

/// Starting position of a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Start with messages published from now on.
    Now,
    /// Start with the oldest message in the history.
    Earliest,
    /// Start behind this message.
    After(EventId),
    /// Start with the oldest message and report a gap, because the cursor is not one of ours.
    Unknown,
}

impl From {
    /// Parses a cursor from a client. An invalid one is a gap and not an error, because the client would send the
    /// same one for ever.
    #[must_use]
    pub(crate) fn parse(cursor: Option<&str>) -> Self {
        match cursor {
            None | Some("") => Self::Now,
            Some("earliest") => Self::Earliest,
            Some(text) => EventId::parse(text).map_or(Self::Unknown, Self::After),
        }
    }
}

/// The data of a message. Of the kind JSON it is one value, whoever has made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    kind: Kind,
    bytes: Bytes,
}

impl Data {
    /// Data that is text.
    #[must_use]
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Text,
            bytes: text.into().into(),
        }
    }

    /// Data that is text if the bytes are valid UTF-8, and otherwise bytes.
    #[must_use]
    pub(crate) fn text_or_bytes(bytes: Bytes) -> Self {
        let kind = match std::str::from_utf8(&bytes) {
            Ok(_) => Kind::Text,
            Err(_) => Kind::Bytes,
        };
        Self { kind, bytes }
    }

    /// Data that is arbitrary bytes.
    #[must_use]
    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Bytes,
            bytes: bytes.into(),
        }
    }

    /// Parses data that is a JSON value.
    ///
    /// # Errors
    /// The error of the parser, if the text is not one JSON value.
    pub(crate) fn json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(Self::raw)
    }

    /// Data from an already parsed JSON value.
    #[must_use]
    pub(crate) fn raw(value: &RawValue) -> Self {
        // Inside strings line breaks are escaped, so these are between values and mean nothing; an event
        // stream would end the line there.
        let line = value.get().trim().replace(['\n', '\r'], " ");
        Self {
            kind: Kind::Json,
            bytes: line.into(),
        }
    }

    /// Data from a JSON value in memory. It is written in one line, so there is nothing to check.
    #[must_use]
    pub(crate) fn value(value: &Value) -> Self {
        Self {
            kind: Kind::Json,
            bytes: value.to_string().into(),
        }
    }

    /// Restores stored data: `None` if the bytes do not match `kind`. What is not JSON although it should be is text.
    #[must_use]
    pub(crate) fn stored(kind: Kind, bytes: Bytes) -> Option<Self> {
        let sound = kind == Kind::Bytes || std::str::from_utf8(&bytes).is_ok();
        let is_json = || serde_json::from_slice::<IgnoredAny>(&bytes).is_ok();
        let kind = match kind {
            Kind::Json if !is_json() => Kind::Text,
            kind => kind,
        };
        sound.then_some(Self { kind, bytes })
    }

    /// Type of the data.
    #[must_use]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The data as bytes.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The data as text, unless its type is bytes.
    #[must_use]
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self.kind {
            Kind::Bytes => None,
            Kind::Text | Kind::Json => std::str::from_utf8(&self.bytes).ok(),
        }
    }
}

/// A message before it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// Name of the event, if it has one.
    pub event: Option<Box<str>>,
    /// Subject of the message: in a channel with conflation, a later message with the same key replaces it.
    pub key: Option<Box<str>>,
    /// The publisher's own id of the message: a second message with the same id is not published.
    pub id: Option<PublisherId>,
    /// The data.
    pub data: Data,
}

/// Length limit of an event name and of a key, which go into every copy of a message.
const LONGEST_LABEL: usize = 256;

impl Draft {
    /// A message with data and nothing else.
    #[must_use]
    pub(crate) fn new(data: Data) -> Self {
        Self {
            event: None,
            key: None,
            id: None,
            data,
        }
    }

    /// Size in bytes, for limits.
    #[must_use]
    pub(crate) fn size(&self) -> usize {
        let label = |label: &Option<Box<str>>| label.as_ref().map_or(0, |label| label.len());
        self.data.as_bytes().len() + label(&self.event) + label(&self.key)
    }

    /// Describes the fault of the event name or the key, if there is one: a line break would end the line of an
    /// event stream and forge the next one, and a reserved name would forge a signal.
    #[must_use]
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.event.as_deref().is_some_and(event_name::is_reserved) {
            return Some(event_name::REFUSAL);
        }
        self.label_fault()
    }

    /// Describes the fault in the form of the event name or the key.
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

/// True for control characters and for the line separators of Unicode: many readers split an event stream there.
fn ends_a_line(sign: char) -> bool {
    sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}')
}

/// A published message. It is immutable and shared by all subscribers.
#[derive(Debug)]
pub(crate) struct Message {
    /// Id of the message.
    pub id: EventId,
    /// The channel of the message.
    pub channel: ChannelName,
    /// The content that was published.
    pub draft: Draft,
    /// Publish time, in Unix milliseconds.
    pub time: u64,
    /// Arrival time on the monotonic clock, so that setting the wall clock does not change its age.
    pub(super) came: Instant,
    pub(super) forms: WireCache,
}

impl Message {
    /// Creates a message published at `time` that arrived at `came`. A reserved event name is removed: the history
    /// of an older Noren may contain one.
    #[must_use]
    pub(crate) fn new(
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
            forms: WireCache::default(),
        }
    }

    /// The key for conflation. Messages of the hub itself have a key with a control character, which no
    /// publisher's key can contain.
    #[must_use]
    pub(super) fn subject(&self) -> Option<Box<str>> {
        if self.draft.event.as_deref() == Some(event_name::PRESENCE) {
            return Some("\0".into());
        }
        self.draft.key.clone()
    }

    /// Size that counts in a history and in the budget of a subscriber.
    #[must_use]
    pub(crate) fn cost(&self) -> usize {
        self.draft.size() + OVERHEAD
    }
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
