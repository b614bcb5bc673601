//! Internal channels of GRIP apps and of Mercure, which only these functions open. The app or a token decides who may
//! subscribe or publish, and the messages have their own format.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::ChannelName;
use crate::http::Lease;
use crate::hub::message::{Draft, From, Message};
use crate::hub::publish::Published;
use crate::hub::subscription::Subscription;
use crate::hub::{Hub, PublishError, SubscribeError};

impl Hub {
    /// Subscribes a client to messages behind this offset, and to all later ones.
    ///
    /// # Errors
    /// A [`SubscribeError`] says which limit is reached.
    pub(crate) fn subscribe_behind(
        &self,
        address: Option<IpAddr>,
        names: &[ChannelName],
        offset: u64,
        lease: Option<Lease>,
    ) -> Result<Subscription, SubscribeError> {
        let from = From::After(self.id(offset));
        self.subscribe_to_any(address, names, from, lease)
    }

    /// Publishes a message without waiting for the disk or the cluster.
    ///
    /// # Errors
    /// A [`PublishError`] gives the reason; nothing was published then.
    pub(crate) fn publish_to_any(
        &self,
        name: &ChannelName,
        draft: Draft,
    ) -> Result<Published, PublishError> {
        self.publish_own(name, draft)
    }

    /// Calls `wanted` with each message that a new subscriber of a channel can still get, newest first, and returns its
    /// first result.
    pub(crate) fn find<T>(
        &self,
        name: &ChannelName,
        mut wanted: impl FnMut(&Message) -> Option<T>,
    ) -> Option<T> {
        let channel = self.open_channel(name)?;
        let kept: Vec<_> = channel.history().available().cloned().collect();
        kept.iter().rev().find_map(|message| wanted(message))
    }

    /// The messages behind this offset that a new subscriber of a channel can still get, oldest first, and the highest
    /// offset of those that it cannot get any more.
    #[must_use]
    pub(crate) fn messages_behind(
        &self,
        name: &ChannelName,
        offset: u64,
    ) -> (Vec<Arc<Message>>, u64) {
        let Some(channel) = self.open_channel(name) else {
            return (Vec::new(), 0);
        };
        let history = channel.history();
        let behind = history.available().rev();
        let behind = behind.take_while(|message| message.id.offset > offset);
        let mut behind: Vec<_> = behind.cloned().collect();
        behind.reverse();
        (behind, history.floor())
    }

    /// True if this node has subscribers of a channel.
    #[must_use]
    pub(crate) fn is_subscribed_to(&self, name: &ChannelName) -> bool {
        let channel = self.open_channel(name);
        channel.is_some_and(|channel| channel.is_listened_to())
    }

    /// True if the messages come from a stream that other nodes write to as well, and that was read to its end once.
    #[must_use]
    pub(crate) fn follows_stream(&self) -> bool {
        let sequencer = &self.0.sequencer;
        sequencer.stream().is_some() && !sequencer.is_catching_up()
    }

    /// Offset of the newest message of all channels.
    #[must_use]
    pub(crate) fn newest_offset(&self) -> u64 {
        self.head()
    }
}
