//! An update: its topics, and its event for subscribers. Must not know subscribers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::hub::Message;

/// An update, as it lies in the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Update {
    /// Topics of the update, of which the first is the canonical one.
    pub topics: Vec<String>,
    /// True if only subscribers get it whose token permits one of its topics.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// Id of the update, which is a cursor for subscribers.
    pub id: String,
    /// The type of its event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The reconnection time, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<u64>,
    /// The data.
    pub data: String,
}

/// An update as it is matched and sent: parsed once for all subscribers.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) number: ItemNumber,
    pub(super) topics: Vec<String>,
    pub(super) private: bool,
    pub(super) id: String,
    /// The event in an event stream.
    pub(super) event: Bytes,
}

/// The number of an update in this process, which no other update has: an offset can be given again when the stream of
/// a cluster was made anew.
#[derive(Debug)]
pub(super) struct ItemNumber(u64);

impl ItemNumber {
    /// The next number; the first is 1.
    pub(super) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The number.
    pub(super) fn get(&self) -> u64 {
        self.0
    }
}

impl Item {
    /// The update in a message; `None` for a message of another kind.
    pub(super) fn of(message: &Message) -> Option<Arc<Self>> {
        let parsed: Arc<Option<Arc<Self>>> = message.parsed(|data| {
            let update: Update = serde_json::from_str(data.as_text()?).ok()?;
            let event = update.event_stream();
            Some(Arc::new(Self {
                number: ItemNumber::next(),
                topics: update.topics,
                private: update.private,
                id: update.id,
                event,
            }))
        });
        Option::clone(&parsed)
    }
}

impl Update {
    /// The event in an event stream (HTML, "Server-sent events"). Each line of the data has its own field, whatever
    /// line end it has.
    fn event_stream(&self) -> Bytes {
        let mut text = String::with_capacity(self.data.len() + self.id.len() + 32);
        let mut field = |name: &str, value: &str| {
            for part in [name, ": ", value, "\n"] {
                text.push_str(part);
            }
        };
        if let Some(event) = &self.event {
            field("event", event);
        }
        if let Some(retry) = self.retry {
            field("retry", &retry.to_string());
        }
        field("id", &self.id);
        let lines = self.data.replace("\r\n", "\n");
        for line in lines.split(['\n', '\r']) {
            field("data", line);
        }
        text.push('\n');
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_all_fields_and_a_line_for_each_line() {
        let update = Update {
            topics: vec!["a".to_owned()],
            private: false,
            id: "urn:uuid:1".to_owned(),
            event: Some("e".to_owned()),
            retry: Some(7),
            data: "a\nb\r\nc\rd\n".to_owned(),
        };
        assert_eq!(
            update.event_stream(),
            "event: e\nretry: 7\nid: urn:uuid:1\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"
        );
        let text = serde_json::to_string(&update).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Update>(&text).expect("an update"),
            update
        );
    }
}
