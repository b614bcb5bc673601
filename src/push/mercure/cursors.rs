//! The place of each update in the history, by its id: the ids of publishers are arbitrary text, so the hub's own
//! cursors do not know them.
//!
//! Read from the history itself, a piece at a time, so it is right after a restart and on each node of a cluster.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_lc_rs::digest::{SHA256, digest};

use crate::config::ChannelName;
use crate::hub::{Epoch, Hub};
use crate::sweep::Sweep;
use crate::sync::lock;

use super::update::Item;

/// Number of ids from which old ones are removed.
const FEWEST: usize = 64;

/// First half of the hash of an id.
type Key = [u8; 16];

/// The place of each update.
#[derive(Default)]
pub(super) struct Cursors(Mutex<Places>);

#[derive(Default)]
struct Places {
    /// Epoch of the offsets. Another one begins when the stream of a cluster was made anew.
    epoch: Option<Epoch>,
    offsets: HashMap<Key, u64>,
    sweep: Sweep,
    /// Offset up to which the history was read.
    through: u64,
    /// The last update that was read.
    newest: Option<String>,
}

/// A place in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// Behind the update with this id.
    After(u64),
    /// Before all updates, because the id is not in the history any more.
    Earliest(u64),
}

impl Cursors {
    /// The place behind the update with this id; of several with the same id, the earliest.
    pub(super) fn find(&self, hub: &Hub, channel: &ChannelName, id: &str) -> Cursor {
        let mut places = lock(&self.0);
        let floor = places.read(hub, channel);
        match places.offsets.get(&key(id)) {
            Some(offset) if *offset > floor => Cursor::After(*offset),
            _ => Cursor::Earliest(floor),
        }
    }

    /// The id of the newest update, if there was one.
    pub(super) fn newest(&self, hub: &Hub, channel: &ChannelName) -> Option<String> {
        let mut places = lock(&self.0);
        places.read(hub, channel);
        places.newest.clone()
    }
}

impl Places {
    /// Reads the updates that were published since the last call. Returns the offset before the first update that is
    /// still in the history.
    fn read(&mut self, hub: &Hub, channel: &ChannelName) -> u64 {
        let epoch = hub.newest().epoch;
        if self.epoch.as_ref() != Some(&epoch) {
            *self = Self {
                epoch: Some(epoch),
                ..Self::default()
            };
        }
        let (messages, floor) = hub.messages_behind(channel, self.through);
        for message in messages {
            let offset = message.id.offset;
            self.through = offset;
            let Some(item) = Item::of(&message) else {
                continue;
            };
            let place = self.offsets.entry(key(&item.id)).or_insert(offset);
            if *place <= floor {
                *place = offset;
            }
            self.newest = Some(item.id.clone());
        }
        let is_available = |offset: &mut u64| *offset > floor;
        self.sweep.run(&mut self.offsets, FEWEST, is_available);
        floor
    }
}

fn key(id: &str) -> Key {
    let whole = digest(&SHA256, id.as_bytes());
    let mut key = Key::default();
    for (place, byte) in key.iter_mut().zip(whole.as_ref()) {
        *place = *byte;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hub::{Data, Draft};

    #[test]
    fn ids_that_the_history_no_longer_has_are_removed() {
        let text = "[[channel]]\nname = 'updates'\n[channel.history]\nmessages = 16\n";
        let config = Config::parse(text, "test").expect("a configuration");
        let hub = Hub::new(&config, None).expect("a hub");
        let channel = ChannelName::parse("updates").expect("a name");
        let cursors = Cursors::default();
        for number in 0..1000 {
            let id = number.to_string();
            let update = serde_json::json!({"topics": ["a"], "id": id, "data": ""});
            let draft = Draft::new(Data::text(update.to_string()));
            hub.publish(&channel, draft).expect("published");
            assert!(matches!(
                cursors.find(&hub, &channel, &id),
                Cursor::After(_)
            ));
            assert!(lock(&cursors.0).offsets.len() <= FEWEST);
        }
        assert!(matches!(
            cursors.find(&hub, &channel, "0"),
            Cursor::Earliest(_)
        ));
    }
}
