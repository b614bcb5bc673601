//! Applies entries of the cluster stream to this node's hub. Only the stream task calls it, in stream order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tracing::{debug, info};

use super::Backbone;
use crate::config::ChannelName;
use crate::hub::Hub;
use crate::hub::message::{Draft, Epoch, Message, age_of, came_before};
use crate::sync::lock;

/// Upper bound on the assumed transit time of a message that is new to this node. A longer time means that the
/// clock of the sending node is wrong, and the message must not count as too old to be kept.
const LONGEST_WAY: Duration = Duration::from_secs(10);

impl Hub {
    pub(super) fn backbone(&self) -> Option<&Backbone> {
        self.0.backbone.as_ref()
    }

    /// Sets the epoch of all ids from now on.
    pub(super) fn set_epoch(&self, epoch: Epoch) {
        self.0.epoch.store(Arc::new(epoch));
    }

    /// Marks this node as caught up: every message that was in the stream at its start is in its histories.
    pub(super) fn catch_up(&self) {
        if let Some(backbone) = self.backbone()
            && !backbone.caught_up.swap(true, Ordering::AcqRel)
        {
            let newest = self.newest();
            info!(%newest, "caught up with the cluster");
        }
    }

    /// Assigns a message its offset and returns it. For a message that its publisher has sent twice this is the
    /// offset of the first. The configuration of this node decides whether the channel exists here.
    pub(super) fn apply(
        &self,
        offset: u64,
        name: &ChannelName,
        mut draft: Draft,
        time: u64,
    ) -> u64 {
        let Ok(channel) = self.channel(name) else {
            debug!(channel = %name, offset, "a message of the cluster is for a channel that is not here");
            return offset;
        };
        let own = draft.id.take();
        if let Some(before) = own.and_then(|id| channel.ids().find(&id)) {
            return before;
        }
        let mut age = age_of(time);
        if self.backbone().is_some_and(Backbone::has_caught_up) {
            age = age.min(LONGEST_WAY);
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
    pub(super) fn advance(&self, offset: u64) {
        let mut places = lock(&self.0.places);
        let last = places.last().max(offset);
        places.set(last);
        self.0.head.store(last, Ordering::Release);
    }

    /// Marks messages up to this offset as lost although this node never had them; subscribers that wait for one
    /// of them get a gap.
    pub(super) fn forget_through(&self, offset: u64) {
        self.0.base.store(offset, Ordering::Release);
        for (_, channel) in self.channels_now() {
            channel.history().forget_before(offset);
        }
        self.advance(offset);
        for (_, channel) in self.channels_now() {
            channel.wake();
        }
    }

    /// Resolves the publisher's future: its message has come back in the stream with this offset.
    pub(super) fn came_back(&self, node: &str, number: u64, offset: u64) {
        if let Some(backbone) = self.backbone()
            && *backbone.node == *node
        {
            backbone.outgoing.came_back(number, &self.id(offset));
        }
    }

    /// Starts over after the stream was replaced by another: no offset or history of the old stream is valid.
    pub(super) fn start_anew(&self) {
        let before = std::mem::take(&mut *self.change_channels());
        for listener in before.values().flat_map(|channel| channel.listeners()) {
            listener.dismiss();
        }
        if let Some(backbone) = self.backbone() {
            backbone.caught_up.store(false, Ordering::Release);
        }
        let mut places = lock(&self.0.places);
        places.set(0);
        self.0.base.store(0, Ordering::Release);
        self.0.head.store(0, Ordering::Release);
        drop(places);
        self.open_named();
    }

    /// Handles a note from another node. Notes that were written before this node started are not news and are
    /// skipped.
    pub(super) fn heard(&self, node: &str, kind: &str, data: &Bytes) {
        let Some(backbone) = self.backbone().filter(|backbone| backbone.has_caught_up()) else {
            return;
        };
        if *backbone.node == *node {
            return;
        }
        match kind {
            super::PRESENCE => backbone.others.heard(node, data),
            super::ENDED => backbone.ended(data),
            _ => {}
        }
    }
}
