//! Hand-over of the hub to another process, which continues the same sequence: a subscriber that comes back with a
//! cursor of this process gets the missed messages there.
//!
//! The snapshot contains the histories in memory; those on disk are closed here and opened there. Independent of
//! processes and sockets.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::{age_of, came_before};
use crate::config::ChannelName;
use crate::hub::channel::Channel;
use crate::hub::kind::Kind;
use crate::hub::message::Message;
use crate::hub::persistence::DiskOrder;
use crate::hub::publisher_id::Digest;
use crate::hub::store::{Opened, Record};
use crate::hub::{Hub, HubError};
use crate::sync::lock;

/// Snapshot of the hub: all that another process needs to continue.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct HubSnapshot {
    /// Epoch of this run, which continues.
    pub(super) epoch: String,
    /// Highest offset that was assigned.
    pub(super) last: u64,
    /// Highest offset of the messages that are lost to channels opened later; missing in the snapshot of an older
    /// Noren.
    #[serde(default)]
    base: u64,
    channels: Vec<ChannelSnapshot>,
}

/// A channel whose history is in memory.
#[derive(Debug, Serialize, Deserialize)]
struct ChannelSnapshot {
    name: String,
    /// Highest offset that no subscriber can get any more.
    floor: u64,
    messages: Vec<MessageSnapshot>,
    /// Publisher ids; missing in the snapshot of an older Noren.
    #[serde(default)]
    ids: Vec<PublisherIdSnapshot>,
}

/// A publisher's own id of a message.
#[derive(Debug, Serialize, Deserialize)]
struct PublisherIdSnapshot {
    digest: Digest,
    offset: u64,
    /// Age in milliseconds.
    age: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct MessageSnapshot {
    offset: u64,
    time: u64,
    /// Age in milliseconds. Both processes share the machine's monotonic clock, while the wall clock may have been
    /// set.
    age: Option<u64>,
    event: Option<Box<str>>,
    key: Option<Box<str>>,
    kind: KindSnapshot,
    /// The data: text as it is, bytes in base64.
    data: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum KindSnapshot {
    Text,
    Json,
    Bytes,
}

impl Hub {
    /// Stops publishing, closes the store and makes the snapshot. Blocks until all published messages are on disk.
    /// Messages that arrive meanwhile are refused and can be published at the other process.
    pub(crate) fn take_snapshot(&self) -> HubSnapshot {
        let sequence = lock(&self.0.sequence);
        self.0.is_handed_over.store(true, Ordering::Release);
        drop(sequence);
        if let Some(store) = self.0.store.load_full() {
            store.end();
        }
        // The last messages on disk have their places only now.
        let last = lock(&self.0.sequence).last();
        let channels = self.channels_now();
        let packed = channels
            .iter()
            .filter(|(_, channel)| !channel.is_kept())
            .map(|(name, channel)| ChannelSnapshot::of(name, channel));
        HubSnapshot {
            epoch: self.0.epoch.load().to_string(),
            last,
            base: lock(&self.0.closed).highest(),
            channels: packed.collect(),
        }
    }

    /// Reverts [`take_snapshot`](Self::take_snapshot) after the other process has failed to start. If the history on
    /// disk cannot be opened now, its channels refuse messages until it can; stored messages are kept.
    ///
    /// # Errors
    /// A [`HubError`] if the store has no thread to write with. Channels in memory continue.
    pub(crate) fn revert_snapshot(&self) -> Result<(), HubError> {
        if !self.0.is_handed_over.load(Ordering::Acquire) {
            return Ok(());
        }
        let opened = self.0.store.load().as_ref().map(|_| {
            let settings = self.0.settings.load();
            let epoch = self.0.epoch.load().to_string();
            let read = !self.0.behind.load(Ordering::Acquire);
            let opened = Opened::reopen(&settings.hub.store, &epoch, read);
            opened.run(DiskOrder::of(self)).map(Arc::new)
        });
        let opened = opened.transpose();
        if let Ok(Some(store)) = &opened {
            self.0.store.store(Some(Arc::clone(store)));
        }
        self.0.is_handed_over.store(false, Ordering::Release);
        opened?;
        Ok(())
    }

    /// Restores the snapshot of another process into the channels that exist here too.
    pub(super) fn restore_snapshot(&self, snapshot: HubSnapshot) {
        for packed in snapshot.channels {
            let name = ChannelName::parse(&packed.name).ok();
            let channel = name.and_then(|name| self.channel(&name).ok());
            let Some(channel) = channel.filter(|channel| !channel.is_kept()) else {
                continue;
            };
            channel.history().forget_before(packed.floor);
            for id in packed.ids {
                let came = came_before(Duration::from_millis(id.age));
                channel.ids().insert(id.digest, id.offset, came);
            }
            for message in packed.messages {
                let came = came_before(message.age());
                let record = message.record();
                let message =
                    record.and_then(|record| self.message_of(&channel.name, record, came));
                if let Some(message) = message {
                    channel.append(Arc::new(message));
                }
            }
        }
        lock(&self.0.closed).raise(snapshot.base);
    }
}

impl ChannelSnapshot {
    fn of(name: &ChannelName, channel: &Channel) -> Self {
        let ids = channel.ids();
        let ids = ids.iter().map(|id| PublisherIdSnapshot {
            digest: id.digest,
            offset: id.offset,
            age: u64::try_from(id.came.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        let ids = ids.collect();
        let history = channel.history();
        Self {
            name: name.to_string(),
            floor: history.floor(),
            ids,
            messages: history
                .available()
                .map(|message| MessageSnapshot::of(message))
                .collect(),
        }
    }
}

impl MessageSnapshot {
    fn of(message: &Message) -> Self {
        let draft = &message.draft;
        let bytes = draft.data.as_bytes();
        let kind = match draft.data.kind() {
            Kind::Text => KindSnapshot::Text,
            Kind::Json => KindSnapshot::Json,
            Kind::Bytes => KindSnapshot::Bytes,
        };
        Self {
            offset: message.id.offset,
            time: message.time,
            age: u64::try_from(message.came.elapsed().as_millis()).ok(),
            event: draft.event.clone(),
            key: draft.key.clone(),
            kind,
            data: match kind {
                KindSnapshot::Bytes => STANDARD.encode(bytes),
                KindSnapshot::Text | KindSnapshot::Json => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
            },
        }
    }

    /// Age of the message; a snapshot of an older Noren contains the publish time only.
    fn age(&self) -> Duration {
        self.age
            .map_or_else(|| age_of(self.time), Duration::from_millis)
    }

    /// The message as a record; `None` if no Noren could have written it.
    fn record(self) -> Option<Record> {
        let (kind, data) = match self.kind {
            KindSnapshot::Text => (Kind::Text, Bytes::from(self.data)),
            KindSnapshot::Json => (Kind::Json, Bytes::from(self.data)),
            KindSnapshot::Bytes => {
                let bytes = STANDARD.decode(self.data).ok()?;
                (Kind::Bytes, Bytes::from(bytes))
            }
        };
        Some(Record {
            offset: self.offset,
            id: None,
            event: self.event,
            key: self.key,
            kind,
            data,
            time: self.time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hub::PublishError;
    use crate::hub::message::{Data, Draft};
    use crate::hub::publisher_id::PublisherId;

    fn draft(text: &str) -> Draft {
        Draft {
            event: Some("e".into()),
            key: None,
            id: None,
            data: Data::text(text),
        }
    }

    #[test]
    fn a_hub_that_moved_goes_on_with_the_next_offset_and_has_what_was_said() {
        let text =
            "[[channel]]\nname = 'a'\n[channel.history]\nmessages = 2\n[[channel]]\nname = 'b.*'\n";
        let config = Config::parse(text, "test").expect("a configuration");
        let old = Hub::new(&config, None).expect("a hub");
        let name = |name: &str| ChannelName::parse(name).expect("a name");
        for text in ["1", "2", "3"] {
            old.publish(&name("a"), draft(text)).expect("published");
        }
        old.publish(&name("b.7"), draft("…")).expect("published");
        let mut own = draft("own");
        own.id = Some(PublisherId::parse("own").expect("an id"));
        let first = old.publish(&name("b.7"), own.clone()).expect("published");
        let snapshot = old.take_snapshot();
        let refused = old.publish(&name("a"), draft("late"));
        assert_eq!(refused.err(), Some(PublishError::Moving));
        let snapshot = serde_json::to_string(&snapshot).expect("JSON");
        let snapshot = serde_json::from_str(&snapshot).expect("the same");
        let new = Hub::new(&config, Some(snapshot)).expect("a hub");
        let next = new.publish(&name("a"), draft("4")).expect("published");
        let next = next.id().expect("a number of its own");
        assert_eq!(next.offset, 6);
        assert_eq!(next.epoch, old.newest().epoch);
        let said = |channel| {
            let channel = new.channel(&name(channel)).ok().expect("a channel");
            let history = channel.history();
            let texts = history
                .available()
                .map(|message| message.draft.data.as_bytes().clone());
            (texts.collect::<Vec<_>>(), history.floor())
        };
        assert_eq!(said("a"), (vec!["3".into(), "4".into()], 2));
        let again = new.publish(&name("b.7"), own).expect("published");
        assert_eq!(again.id(), first.id());
        assert_eq!(said("b.7"), (vec!["…".into(), "own".into()], 0));
        old.revert_snapshot().expect("taken back");
        assert!(old.publish(&name("a"), draft("4")).is_ok());
    }
}
