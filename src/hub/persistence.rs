//! Connects the hub with its store: stores messages, shows them once they are on disk, restores them at the start,
//! and resolves cursors of earlier runs.
//!
//! A message of a history on disk has no offset and is in no history before the disk has it: no subscriber sees a
//! message that could still be lost or refused.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use crate::clock::{age_of, came_before, now_milliseconds};
use crate::config::ChannelName;
use crate::hub::channel::Channel;
use crate::hub::error::PublishError;
use crate::hub::message::{Data, Draft, Epoch, EventId, Message};
use crate::hub::publish::Published;
use crate::hub::publisher_id::{Digest, PublisherId, Unique};
use crate::hub::sequence::Sequence;
use crate::hub::store::{Append, Order, Record, Recovered, StoreError};
use crate::hub::{Hub, HubState};
use crate::sync::lock;

/// The position that a cursor resolves to.
pub(super) struct Resumed {
    pub(super) offset: u64,
    /// True if this run issued the cursor.
    pub(super) this_run: bool,
}

impl Hub {
    /// Restores the stored messages of all channels that still keep their history on disk.
    pub(super) fn restore(&self, recovered: Recovered) {
        for (name, records) in recovered.channels {
            let channel = ChannelName::parse(&name).ok();
            let channel = channel.and_then(|name| self.stored_channel(&name));
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
                let came = came_before(age_of(record.time));
                if let Some(message) = self.message_of(&channel.name, record, came) {
                    let appended = channel.append(Arc::new(message));
                    self.forget(&channel, appended.replaced, appended.lost);
                }
            }
        }
        for (name, ids) in recovered.ids {
            let channel = ChannelName::parse(&name).ok();
            let channel = channel.and_then(|name| self.stored_channel(&name));
            match channel.filter(|channel| channel.is_kept()) {
                Some(channel) => {
                    for id in ids {
                        let came = came_before(age_of(id.time));
                        channel.ids().insert(id.digest, id.offset, came);
                    }
                }
                None => {
                    if let (Some(store), Some(last)) = (&*self.0.store.load(), ids.last()) {
                        store.forget_ids(&name, last.offset);
                    }
                }
            }
        }
        for (name, forgotten) in recovered.forgotten {
            let Ok(name) = ChannelName::parse(&name) else {
                continue;
            };
            match self.open_channel(&name) {
                Some(channel) => channel.history().forget_before(forgotten),
                None => lock(&self.0.closed).insert(name, forgotten),
            }
        }
    }

    pub(super) fn message_of(
        &self,
        channel: &ChannelName,
        record: Record,
        came: Instant,
    ) -> Option<Message> {
        let draft = Draft {
            event: record.event,
            key: record.key,
            id: None,
            data: Data::stored(record.kind, record.data)?,
        };
        let id = self.id(record.offset);
        Some(Message::new(id, channel.clone(), draft, record.time, came))
    }

    /// Queues a message for the disk. It becomes visible once it is written.
    pub(super) fn keep(&self, channel: &Channel, draft: Draft) -> Result<Published, PublishError> {
        if self.0.is_handed_over.load(Ordering::Acquire) {
            return Err(PublishError::Moving);
        }
        let store = self.0.store.load();
        let Some(store) = store.as_ref() else {
            return Err(PublishError::not_kept(&StoreError::Stopped));
        };
        if let Some(before) = draft.id.and_then(|id| channel.ids().find(&id)) {
            return Ok(Published::repetition(self.id_on_disk(before)));
        }
        let record = Record {
            offset: 0,
            id: draft.id.map(|id| id.digest()),
            event: draft.event,
            key: draft.key,
            kind: draft.data.kind(),
            data: draft.data.as_bytes().clone(),
            time: now_milliseconds(),
        };
        let unique = draft.id.map_or(Unique::Never, |id| id.unique());
        let appended = store.append(channel.name.as_str(), record, unique, Instant::now());
        match appended {
            Ok(kept) => Ok(Published::on_disk(self, kept)),
            Err(StoreError::Stopped) if self.0.is_handed_over.load(Ordering::Acquire) => {
                Err(PublishError::Moving)
            }
            Err(error) => Err(PublishError::not_kept(&error)),
        }
    }

    /// Makes messages that are on the disk visible. The caller holds the lock on the sequence.
    fn show(&self, appends: &[Append]) {
        for append in appends.iter().filter(|append| append.is_new()) {
            let name = ChannelName::parse(&append.channel).ok();
            // The channel existed when the message was published. If it was closed since, it has no subscribers.
            let Some(channel) = name.and_then(|name| self.stored_channel(&name)) else {
                continue;
            };
            let record = append.record.clone();
            let own = record
                .id
                .map(|digest| PublisherId::stored(digest, append.unique));
            let forgotten = channel.remember(own, record.offset, append.came);
            self.forget_ids(&channel, forgotten);
            if let Some(message) = self.message_of(&channel.name, record, append.came) {
                let appended = channel.append(Arc::new(message));
                self.forget(&channel, appended.replaced, appended.lost);
                channel.metrics.messages.inc();
            }
        }
    }

    /// Wakes the subscribers of the channels of these messages.
    fn wake(&self, appends: &[Append]) {
        let mut names: Vec<_> = appends.iter().map(|append| &*append.channel).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let name = ChannelName::parse(name).ok();
            if let Some(channel) = name.and_then(|name| self.open_channel(&name)) {
                channel.wake();
            }
        }
    }

    /// The current disk error of a channel, for the status.
    pub(super) fn trouble_of(&self, channel: &Channel) -> Option<String> {
        let store = channel.is_kept().then(|| self.0.store.load_full())?;
        store?.trouble().map(|error| error.to_string())
    }

    /// Reason why the disk accepts no messages now, without paths of this machine.
    #[must_use]
    pub(crate) fn disk_trouble(&self) -> Option<&'static str> {
        let store = self.0.store.load();
        let trouble = store.as_ref().and_then(|store| store.trouble());
        trouble.map(|error| error.for_publishers())
    }

    /// Removes the messages from the store that the history has dropped.
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

    /// Removes from the store the publisher ids that the channel has forgotten.
    pub(super) fn forget_ids(&self, channel: &Channel, through: Option<u64>) {
        let store = self.0.store.load();
        if let (true, Some(store), Some(through)) = (channel.is_kept(), store.as_ref(), through) {
            store.forget_ids(channel.name.as_str(), through);
        }
    }

    /// Id of a message on disk as it was when published, perhaps in an earlier run.
    pub(super) fn id_on_disk(&self, offset: u64) -> EventId {
        let epochs = self.0.epochs.load();
        let run = epochs.iter().rev().find(|run| run.first <= offset);
        let epoch = run.and_then(|run| Epoch::parse(&run.epoch));
        EventId {
            epoch: epoch.unwrap_or_else(|| Epoch::clone(&self.0.epoch.load())),
            offset,
        }
    }

    /// Resolves an id to an offset, if its epoch is known.
    pub(super) fn resume(&self, id: &EventId) -> Option<Resumed> {
        if id.epoch == **self.0.epoch.load() {
            return Some(Resumed {
                offset: id.offset,
                this_run: true,
            });
        }
        let name = id.epoch.to_string();
        let epochs = self.0.epochs.load();
        let run = epochs.iter().rposition(|run| run.epoch == name)?;
        let next = epochs.get(run + 1)?;
        // Beyond lie messages in memory, whose offsets were given again. Who has seen them has seen all that was
        // kept.
        Some(Resumed {
            offset: id.offset.min(next.first.saturating_sub(1)),
            this_run: false,
        })
    }
}

/// Numbers messages for the store before a commit, and makes them visible after it. Holds the hub weakly, because the
/// hub owns the store.
pub(super) struct DiskOrder {
    hub: Weak<HubState>,
    sequence: Arc<Mutex<Sequence>>,
}

impl DiskOrder {
    /// Finds repeated messages by their publisher ids. The ids of all earlier batches are already remembered.
    fn find_repeated(&self, appends: &mut [Append]) {
        let hub = self.hub.upgrade().map(Hub);
        for append in appends {
            append.repeats = None;
            let id = append.record.id.filter(|_| append.unique != Unique::Never);
            let (Some(hub), Some(digest)) = (&hub, id) else {
                continue;
            };
            let name = ChannelName::parse(&append.channel).ok();
            let channel = name.and_then(|name| hub.open_channel(&name));
            let id = PublisherId::stored(digest, append.unique);
            append.repeats = channel.and_then(|channel| channel.ids().find(&id));
        }
    }

    pub(super) fn of(hub: &Hub) -> Self {
        Self {
            hub: Arc::downgrade(&hub.0),
            sequence: Arc::clone(&hub.0.sequence),
        }
    }
}

impl Order for DiskOrder {
    fn number(&self, appends: &mut [Append], beyond: u64) {
        self.find_repeated(appends);
        let mut next = lock(&self.sequence).reserve(beyond);
        let mut here: HashMap<(Box<str>, Digest), u64> = HashMap::new();
        for append in appends.iter_mut().filter(|append| append.is_new()) {
            let digest = append.record.id.filter(|_| append.unique != Unique::Never);
            if let Some(digest) = digest {
                match here.entry((append.channel.clone(), digest)) {
                    Entry::Occupied(first) => {
                        append.repeats = Some(*first.get());
                        continue;
                    }
                    Entry::Vacant(first) => {
                        first.insert(next);
                    }
                }
            }
            append.record.offset = next;
            next += 1;
        }
    }

    fn show(&self, appends: &[Append]) -> bool {
        let new = appends.iter().filter(|append| append.is_new());
        let Some(last) = new.map(|append| append.record.offset).max() else {
            lock(&self.sequence).release();
            return true;
        };
        let hub = self.hub.upgrade().map(Hub);
        let mut sequence = lock(&self.sequence);
        if !sequence.fill(last) {
            return false;
        }
        let Some(hub) = hub else {
            return true;
        };
        hub.show(appends);
        hub.0.head.store(last, Ordering::Release);
        drop(sequence);
        hub.wake(appends);
        true
    }

    fn give_up(&self) {
        lock(&self.sequence).release();
    }

    fn found(&self, recovered: Recovered) {
        let Some(hub) = self.hub.upgrade().map(Hub) else {
            return;
        };
        let mut sequence = lock(&self.sequence);
        let last = sequence.last().max(recovered.last);
        sequence.set(last);
        drop(sequence);
        hub.0.epochs.store(Arc::new(recovered.epochs.clone()));
        hub.restore(recovered);
        // Only now: up to the head all is there.
        let sequence = lock(&self.sequence);
        hub.0.head.store(sequence.last(), Ordering::Release);
        drop(sequence);
        hub.0.behind.store(false, Ordering::Release);
    }
}
