//! Changes of a hub whose offsets come from a shared stream. The reader of the stream calls these methods, in the order
//! of the stream; a hub that counts by itself needs none of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::debug;

use crate::clock::{age_of, came_before};
use crate::config::ChannelName;
use crate::hub::Hub;
use crate::hub::channel::Presence;
use crate::hub::message::{Draft, Epoch, EventId, Message};
use crate::sync::lock;

/// Upper bound on the assumed transit time of a message that is new to this node. A longer time means that the
/// clock of the sending node is wrong, and the message must not count as too old to be kept.
const LONGEST_TRANSIT: Duration = Duration::from_secs(10);

impl Hub {
    /// Sets the epoch of all ids from now on.
    pub(crate) fn set_epoch(&self, epoch: Epoch) {
        self.0.epoch.store(Arc::new(epoch));
    }

    /// The id of the message with this offset, in the current epoch.
    #[must_use]
    pub(crate) fn id(&self, offset: u64) -> EventId {
        EventId {
            epoch: Epoch::clone(&self.0.epoch.load()),
            offset,
        }
    }

    /// Appends a message of the stream to its channel and returns its offset. For a message that its publisher has
    /// sent twice this is the offset of the first. The configuration of this node decides whether the channel exists
    /// here.
    pub(crate) fn apply(
        &self,
        offset: u64,
        name: &ChannelName,
        mut draft: Draft,
        time: u64,
    ) -> u64 {
        let Ok(channel) = self.channel(name) else {
            debug!(channel = %name, offset, "skipped a message of the cluster: its channel is not configured here");
            return offset;
        };
        let own = draft.id.take();
        if let Some(first) = own.and_then(|id| channel.ids().find(&id)) {
            return first;
        }
        let mut age = age_of(time);
        if !self.0.sequencer.is_catching_up() {
            age = age.min(LONGEST_TRANSIT);
        }
        let came = came_before(age);
        let message = Message::new(self.id(offset), name.clone(), draft, time, came);
        let mut places = lock(&self.0.places);
        channel.append(Arc::new(message));
        channel.remember(own, offset, came);
        places.set(offset);
        self.0.head.store(offset, Ordering::Release);
        drop(places);
        channel.wake();
        offset
    }

    /// Moves the head to this offset: no message up to it is still missing.
    pub(crate) fn advance(&self, offset: u64) {
        let mut places = lock(&self.0.places);
        let last = places.last().max(offset);
        places.set(last);
        self.0.head.store(last, Ordering::Release);
    }

    /// Marks messages up to this offset as lost although this node never had them; subscribers that wait for one
    /// of them get a gap.
    pub(crate) fn forget_through(&self, offset: u64) {
        self.0.base.store(offset, Ordering::Release);
        for (_, channel) in self.channels_now() {
            channel.history().forget_before(offset);
        }
        self.advance(offset);
        for (_, channel) in self.channels_now() {
            channel.wake();
        }
    }

    /// Starts over after the stream was replaced by another: no offset or history of the old stream is valid, and all
    /// subscribers are dismissed.
    pub(crate) fn start_anew(&self) {
        let old = std::mem::take(&mut *self.change_channels());
        for subscriber in old.values().flat_map(|channel| channel.listeners()) {
            subscriber.dismiss();
        }
        let mut places = lock(&self.0.places);
        places.set(0);
        self.0.base.store(0, Ordering::Release);
        self.0.head.store(0, Ordering::Release);
        drop(places);
        self.open_named();
    }

    /// Presence at this node of the channels that publish theirs or have a hook for it.
    #[must_use]
    pub(crate) fn presence_here(&self) -> Vec<(ChannelName, Presence)> {
        let channels = self.channels_now().into_iter();
        let shown = channels.filter_map(|(name, channel)| {
            let rules = channel.rules();
            let is_shown =
                rules.presence || rules.on_first_join.is_some() || rules.on_last_leave.is_some();
            is_shown.then(|| (name, channel.presence()))
        });
        shown.collect()
    }
}
