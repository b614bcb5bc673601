//! Between the hub and its store: what is put there, what is taken back at the start, and where a cursor of an
//! earlier run stands.

use std::sync::Arc;
use std::time::Duration;

use crate::config::ChannelName;
use crate::hub::Hub;
use crate::hub::channel::Channel;
use crate::hub::error::PublishError;
use crate::hub::message::{Data, Draft, EventId, Kind, Message, age_of, came_before};
use crate::hub::store::{self, Acknowledgement, Record, Recovered};

/// Where a cursor stands.
pub(super) struct Resumed {
    pub(super) offset: u64,
    /// It was given by this run.
    pub(super) this_run: bool,
}

impl Hub {
    /// Takes back what the store has kept, as far as it belongs to a channel that is still kept.
    pub(super) fn restore(&self, recovered: Recovered) {
        for (name, records) in recovered.channels {
            let channel = ChannelName::parse(&name).ok();
            let channel = channel.and_then(|name| self.channel(&name).ok());
            let Some(channel) = channel.filter(|channel| channel.is_kept()) else {
                if let (Some(store), Some(last)) = (&*self.0.store.load(), records.last()) {
                    store.forget(&name, last.offset);
                }
                continue;
            };
            if let Some(forgotten) = recovered.forgotten.get(&name) {
                channel.history().forget_before(*forgotten);
            }
            for record in records {
                // All that is left of a run that has ended is the machine's clock.
                let age = age_of(record.time);
                if let Some(message) = self.message_of(&channel.name, record, age) {
                    let appended = channel.append(Arc::new(message));
                    self.forget(&channel, appended.replaced, appended.lost);
                }
            }
        }
        for (name, forgotten) in recovered.forgotten {
            let name = ChannelName::parse(&name).ok();
            if let Some(channel) = name.and_then(|name| self.open_channel(&name)) {
                channel.history().forget_before(forgotten);
            }
        }
    }

    pub(super) fn message_of(
        &self,
        channel: &ChannelName,
        record: Record,
        age: Duration,
    ) -> Option<Message> {
        let kind = match record.kind {
            store::Kind::Text => Kind::Text,
            store::Kind::Json => Kind::Json,
            store::Kind::Bytes => Kind::Bytes,
        };
        let draft = Draft {
            event: record.event,
            key: record.key,
            data: Data::stored(kind, record.data)?,
        };
        let id = self.id(record.offset);
        let came = came_before(age);
        Some(Message::new(id, channel.clone(), draft, record.time, came))
    }

    /// Puts a message into the store, if its channel is kept there.
    pub(super) fn keep(
        &self,
        channel: &Channel,
        message: &Message,
    ) -> Result<Option<Acknowledgement>, PublishError> {
        if !channel.is_kept() {
            return Ok(None);
        }
        let store = self.0.store.load();
        let Some(store) = store.as_ref() else {
            return Ok(None);
        };
        let draft = &message.draft;
        let record = Record {
            offset: message.id.offset,
            event: draft.event.clone(),
            key: draft.key.clone(),
            kind: match draft.data.kind() {
                Kind::Text => store::Kind::Text,
                Kind::Json => store::Kind::Json,
                Kind::Bytes => store::Kind::Bytes,
            },
            data: draft.data.as_bytes().clone(),
            time: message.time,
        };
        let appended = store.append(channel.name.as_str(), record);
        appended
            .map(Some)
            .map_err(|error| PublishError::NotKept(error.to_string()))
    }

    /// Lets the store go of what the history has let go of.
    pub(super) fn forget(&self, channel: &Channel, replaced: Option<u64>, lost: Option<u64>) {
        if !channel.is_kept() {
            return;
        }
        let store = self.0.store.load();
        let Some(store) = store.as_ref() else {
            return;
        };
        if let Some(offset) = replaced {
            store.remove(channel.name.as_str(), offset);
        }
        if let Some(through) = lost {
            store.forget(channel.name.as_str(), through);
        }
    }

    /// The offset an id stands for, if it is of a sequence we know.
    pub(super) fn resume(&self, id: &EventId) -> Option<Resumed> {
        if id.epoch == **self.0.epoch.load() {
            return Some(Resumed {
                offset: id.offset,
                this_run: true,
            });
        }
        let name = id.epoch.to_string();
        let run = self.0.epochs.iter().position(|run| run.epoch == name)?;
        let next = self.0.epochs.get(run + 1)?;
        // Beyond lie messages that were delivered and not kept, whose offsets were given again. Who has seen
        // them has seen all that was kept.
        Some(Resumed {
            offset: id.offset.min(next.first.saturating_sub(1)),
            this_run: false,
        })
    }
}
