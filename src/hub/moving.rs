//! The hub moves to another process, which goes on with the same sequence: who comes back with a cursor of this
//! process gets there what was missed, as if nothing had happened.
//!
//! Histories in memory are packed; those on disk are closed here and opened there. Knows no process and no socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::ChannelName;
use crate::hub::channel::Channel;
use crate::hub::keeping::DiskOrder;
use crate::hub::message::{Kind, Message, age_of, came_before};
use crate::hub::publisher_id::Digest;
use crate::hub::store::{self, Opened, Record};
use crate::hub::{Hub, HubError, lock};

/// All that another process needs to go on.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Luggage {
    /// The name of this run, which goes on.
    pub(super) epoch: String,
    /// The last offset that was given away.
    pub(super) last: u64,
    channels: Vec<PackedChannel>,
}

/// A channel whose history is in memory.
#[derive(Debug, Serialize, Deserialize)]
struct PackedChannel {
    name: String,
    /// The last message that nobody can get any more.
    floor: u64,
    messages: Vec<PackedMessage>,
    /// The ids of publishers; a Noren of before has packed none.
    #[serde(default)]
    ids: Vec<PackedId>,
}

/// A publisher's own id of a message.
#[derive(Debug, Serialize, Deserialize)]
struct PackedId {
    digest: Digest,
    offset: u64,
    /// In milliseconds.
    age: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct PackedMessage {
    offset: u64,
    time: u64,
    /// In milliseconds: both processes run by the same machine's clock, which may have been set meanwhile.
    age: Option<u64>,
    event: Option<Box<str>>,
    key: Option<Box<str>>,
    kind: PackedKind,
    /// Text as it is, bytes in base64.
    data: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum PackedKind {
    Text,
    Json,
    Bytes,
}

impl Hub {
    /// Publishes nothing from now on, closes the store, and packs. Blocks until what was published is on disk. What
    /// somebody wants to publish meanwhile is refused, and can be published in the other process.
    pub fn pack(&self) -> Luggage {
        let places = lock(&self.0.places);
        self.0.packed.store(true, Ordering::Release);
        drop(places);
        if let Some(store) = self.0.store.load_full() {
            store.end();
        }
        // The last messages on disk have their places only now.
        let last = lock(&self.0.places).last();
        let channels = self.channels_now();
        let packed = channels
            .iter()
            .filter(|(_, channel)| !channel.is_kept())
            .map(|(name, channel)| PackedChannel::of(name, channel));
        Luggage {
            epoch: self.0.epoch.load().to_string(),
            last,
            channels: packed.collect(),
        }
    }

    /// Takes [`pack`](Self::pack) back: the other process did not come up. Where the history on disk cannot be opened
    /// now, its channels refuse what is published until it can: what is taken is kept.
    ///
    /// # Errors
    /// [`HubError`]: nothing can write to the disk any more. Channels in memory go on.
    pub fn unpack(&self) -> Result<(), HubError> {
        if !self.0.packed.load(Ordering::Acquire) {
            return Ok(());
        }
        let opened = self.0.store.load().as_ref().map(|_| {
            let settings = self.0.settings.load();
            let epoch = self.0.epoch.load().to_string();
            let read = !self.0.behind.load(Ordering::Acquire);
            let opened = Opened::again(&settings.hub.store, &epoch, read);
            opened.run(DiskOrder::of(self)).map(Arc::new)
        });
        let opened = opened.transpose();
        if let Ok(Some(store)) = &opened {
            self.0.store.store(Some(Arc::clone(store)));
        }
        self.0.packed.store(false, Ordering::Release);
        opened?;
        Ok(())
    }

    /// Puts what another process has packed into the channels that are here too.
    pub(super) fn settle(&self, luggage: Luggage) {
        for packed in luggage.channels {
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
    }
}

impl PackedChannel {
    fn of(name: &ChannelName, channel: &Channel) -> Self {
        let ids = channel.ids();
        let ids = ids.iter().map(|id| PackedId {
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
                .kept()
                .map(|message| PackedMessage::of(message))
                .collect(),
        }
    }
}

impl PackedMessage {
    fn of(message: &Message) -> Self {
        let draft = &message.draft;
        let bytes = draft.data.as_bytes();
        let kind = match draft.data.kind() {
            Kind::Text => PackedKind::Text,
            Kind::Json => PackedKind::Json,
            Kind::Bytes => PackedKind::Bytes,
        };
        Self {
            offset: message.id.offset,
            time: message.time,
            age: u64::try_from(message.came.elapsed().as_millis()).ok(),
            event: draft.event.clone(),
            key: draft.key.clone(),
            kind,
            data: match kind {
                PackedKind::Bytes => STANDARD.encode(bytes),
                PackedKind::Text | PackedKind::Json => String::from_utf8_lossy(bytes).into_owned(),
            },
        }
    }

    /// A Noren of before this was packed tells only the time.
    fn age(&self) -> Duration {
        self.age
            .map_or_else(|| age_of(self.time), Duration::from_millis)
    }

    /// None for what no Noren has packed.
    fn record(self) -> Option<Record> {
        let (kind, data) = match self.kind {
            PackedKind::Text => (store::Kind::Text, Bytes::from(self.data)),
            PackedKind::Json => (store::Kind::Json, Bytes::from(self.data)),
            PackedKind::Bytes => {
                let bytes = STANDARD.decode(self.data).ok()?;
                (store::Kind::Bytes, Bytes::from(bytes))
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
        let luggage = old.pack();
        let refused = old.publish(&name("a"), draft("late"));
        assert_eq!(refused.err(), Some(PublishError::Moving));
        let luggage = serde_json::to_string(&luggage).expect("JSON");
        let luggage = serde_json::from_str(&luggage).expect("the same");
        let new = Hub::new(&config, Some(luggage)).expect("a hub");
        let next = new.publish(&name("a"), draft("4")).expect("published");
        let next = next.id().expect("a number of its own");
        assert_eq!(next.offset, 6);
        assert_eq!(next.epoch, old.newest().epoch);
        let said = |channel| {
            let channel = new.channel(&name(channel)).ok().expect("a channel");
            let history = channel.history();
            let texts = history
                .kept()
                .map(|message| message.draft.data.as_bytes().clone());
            (texts.collect::<Vec<_>>(), history.floor())
        };
        assert_eq!(said("a"), (vec!["3".into(), "4".into()], 2));
        let again = new.publish(&name("b.7"), own).expect("published");
        assert_eq!(again.id(), first.id());
        assert_eq!(said("b.7"), (vec!["…".into(), "own".into()], 0));
        old.unpack().expect("taken back");
        assert!(old.publish(&name("a"), draft("4")).is_ok());
    }
}
