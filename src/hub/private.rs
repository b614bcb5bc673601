//! Channels of GRIP apps. They are reached through these functions only: who may subscribe or publish is decided by the
//! app, and its messages have a form of their own.

use std::net::IpAddr;

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
    pub fn subscribe_behind(
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
    pub fn publish_to_any(
        &self,
        name: &ChannelName,
        draft: Draft,
    ) -> Result<Published, PublishError> {
        self.publish_own(name, draft)
    }

    /// Looks through the messages that a new subscriber of a channel can still get, newest first, until one is found.
    pub fn find<T>(
        &self,
        name: &ChannelName,
        mut wanted: impl FnMut(&Message) -> Option<T>,
    ) -> Option<T> {
        let channel = self.open_channel(name)?;
        let kept: Vec<_> = channel.history().kept().cloned().collect();
        kept.iter().rev().find_map(|message| wanted(message))
    }

    /// True if this node has subscribers of a channel.
    #[must_use]
    pub fn is_subscribed_to(&self, name: &ChannelName) -> bool {
        let channel = self.open_channel(name);
        channel.is_some_and(|channel| channel.is_listened_to())
    }

    /// Offset of the newest message of all channels.
    #[must_use]
    pub fn newest_offset(&self) -> u64 {
        self.head()
    }
}
