//! Changes of a hub whose offsets come from a shared stream. The reader of the stream calls these methods, in the order
//! of the stream; a hub that counts by itself needs none of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{debug, warn};

use crate::clock::{age_of, came_before};
use crate::config::ChannelName;
use crate::hub::channel::{Channel, Presence};
use crate::hub::channels::Missing;
use crate::hub::closed_floors::ClosedFloors;
use crate::hub::message::{Draft, Epoch, EventId, Message};
use crate::hub::{Hub, PublishError};
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
        let channel = match self.channel(name) {
            Ok(channel) => channel,
            Err(Missing::Unknown) => {
                debug!(channel = %name, offset, "skipped a message of the cluster: its channel is not configured here");
                return offset;
            }
            Err(missing) => {
                self.pass_over(offset, name, &missing.for_publisher(name));
                return offset;
            }
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
        let mut sequence = lock(&self.0.sequence);
        channel.append(Arc::new(message));
        channel.remember(own, offset, came);
        sequence.set(offset);
        self.0.head.store(offset, Ordering::Release);
        drop(sequence);
        channel.wake();
        offset
    }

    /// Leaves a message out whose channel finds no room at this node, while others may have it. Once there is room, a
    /// subscriber that was before it gets a gap.
    fn pass_over(&self, offset: u64, name: &ChannelName, error: &PublishError) {
        lock(&self.0.closed).insert(name.clone(), offset);
        if let Some(suppressed) = self.0.passed_over.line() {
            warn!(%error, suppressed, "a message of the cluster is missing at this node");
        }
    }

    /// Moves the head to this offset: no message up to it is still missing.
    pub(crate) fn advance(&self, offset: u64) {
        let mut sequence = lock(&self.0.sequence);
        let last = sequence.last().max(offset);
        sequence.set(last);
        self.0.head.store(last, Ordering::Release);
    }

    /// Marks messages up to this offset as lost although this node never had them; subscribers that wait for one
    /// of them get a gap.
    pub(crate) fn forget_through(&self, offset: u64) {
        lock(&self.0.closed).raise(offset);
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
        let mut channels = self.change_channels();
        let old = std::mem::take(&mut *channels);
        // Before there are new channels: no subscriber of one begins at an offset of the old stream.
        *lock(&self.0.closed) = ClosedFloors::default();
        self.0.head.store(0, Ordering::Release);
        drop(channels);
        lock(&self.0.sequence).set(0);
        // Who joins an old channel after this finds that it is not in the table any more.
        for subscriber in old.values().flat_map(|channel| channel.listeners()) {
            subscriber.dismiss();
        }
        self.open_named();
    }

    /// True if all of these channels are in the table: those of a stream that was replaced get no more messages.
    pub(super) fn are_open<'a>(
        &self,
        mut channels: impl Iterator<Item = &'a Arc<Channel>>,
    ) -> bool {
        channels.all(|channel| {
            let open = self.open_channel(&channel.name);
            open.is_some_and(|open| Arc::ptr_eq(&open, channel))
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now_milliseconds;
    use crate::config::Config;
    use crate::hub::message::{Data, From};
    use crate::hub::{End, Next, Reset, Subscription};
    use crate::shares::Client;

    #[test]
    fn a_message_that_finds_no_room_is_a_gap_once_there_is_room() {
        let text =
            "[hub]\nchannels = 1\n[[channel]]\nname = 'p.*'\n[channel.history]\nmessages = 0\n";
        let config = Config::parse(text, "noren.toml").expect("a configuration");
        let hub = Hub::new(&config, None).expect("a hub");
        let name = |text: &str| ChannelName::parse(text).expect("a name");
        let first = hub.subscribe(&[name("p.1")], From::Now, None);
        let draft = || Draft::new(Data::text("x"));
        hub.apply(1, &name("p.1"), draft(), now_milliseconds());
        let before = hub.newest();
        hub.apply(2, &name("p.2"), draft(), now_milliseconds());
        hub.advance(2);
        drop(first);
        assert!(hub.do_housekeeping().is_empty());
        let from = From::After(before);
        let late = hub.subscribe(&[name("p.2")], from, None);
        let next = late.expect("there is room").try_next();
        assert!(
            matches!(next, Some(Next::Reset(Reset::Expired))),
            "{next:?}"
        );
    }

    #[test]
    fn who_joins_while_the_stream_is_replaced_is_told_to_come_again() {
        let config = Config::parse("[[channel]]\nname = 'a'\n", "noren.toml");
        let hub = Hub::new(&config.expect("a configuration"), None).expect("a hub");
        let names = [ChannelName::parse("a").expect("a name")];
        let share = hub.0.subscribers.take(Client::default(), 1);
        let share = share.expect("there is room");
        let channels = hub.channels_for(Client::default(), &names);
        let channels = channels.expect("they are there");
        hub.start_anew();
        let mut late = Subscription::new(&hub, channels, share, From::Now, None);
        assert!(
            matches!(late.try_next(), Some(Next::End(End::Stopping))),
            "it would wait in a channel that gets no messages"
        );
        let mut next = hub.subscribe(&names, From::Now, None).expect("subscribed");
        assert!(next.try_next().is_none());
    }
}
