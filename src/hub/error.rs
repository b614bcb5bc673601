//! Errors of the hub: at its start, when publishing, and when subscribing.

use std::path::{Path, PathBuf};

use crate::config::ChannelName;
use crate::hub::store::StoreError;
use crate::text::Reason;

/// Reasons why the hub cannot start or reload.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The file of `hub.publish-token` cannot be used.
    #[error("hub.publish-token: {}: {reason}", path.display())]
    PublishToken {
        /// Path of the file.
        path: PathBuf,
        /// Description of the fault.
        reason: Reason,
    },
    /// The histories on disk cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A store can only be opened at the start, before there is a first message.
    #[error(
        "history.store = \"disk\" where there was none, and hub.store, need a restart of Noren"
    )]
    StoreNeedsRestart,
}

impl HubError {
    /// The file, if this user may not use it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        match self {
            Self::PublishToken { reason, .. } | Self::Store(StoreError::Unfit { reason, .. }) => {
                reason.denied()
            }
            Self::Store(_) | Self::StoreNeedsRestart => None,
        }
    }
}

/// Reasons why a message was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublishError {
    /// No channel of this name is configured.
    #[error("there is no channel {0}")]
    Unknown(ChannelName),
    /// It is larger than `hub.message-size`.
    #[error("the message has {size} bytes, and hub.message-size is {limit}")]
    TooLarge {
        /// Size of the message in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Its event name or key cannot be transmitted.
    #[error("{0}")]
    Malformed(&'static str),
    /// The limit on channels created by patterns is reached.
    #[error("there are {0} channels already (hub.channels)")]
    TooManyChannels(usize),
    /// The publisher's address has caused as many channels as one address may.
    #[error("the limit on channels created from one address is reached (limits.address-share)")]
    ChannelShare,
    /// Another process is taking over; publish there.
    #[error("Noren is being upgraded; publish again")]
    Moving,
    /// The disk refused it, and no subscriber has seen it. The text goes to the publisher, so it contains no file
    /// name.
    #[error("the message could not be kept: {0}; publish it again later")]
    NotStored(String),
}

impl PublishError {
    /// True if the same message may be accepted later, without a change of it or of the configuration.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::TooManyChannels(_) | Self::ChannelShare | Self::Moving | Self::NotStored(_) => {
                true
            }
            Self::Unknown(_) | Self::TooLarge { .. } | Self::Malformed(_) => false,
        }
    }

    /// True if no further channel can be opened now. Messages of other channels can be accepted meanwhile.
    pub(crate) fn lacks_room(&self) -> bool {
        matches!(self, Self::TooManyChannels(_) | Self::ChannelShare)
    }

    /// The error for a publisher, without details that are only for the operator.
    pub(super) fn not_kept(error: &StoreError) -> Self {
        Self::NotStored(error.for_publishers().to_owned())
    }
}

/// Reasons why a subscription was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SubscribeError {
    /// No channel of this name is configured.
    #[error("there is no channel {0}")]
    Unknown(ChannelName),
    /// The limit on channels created by patterns is reached.
    #[error("there are {0} channels already (hub.channels)")]
    TooManyChannels(usize),
    /// This client has caused as many channels as one client may.
    #[error(
        "the limit on channels created from one address, or in one session, is reached (limits.address-share, \
         limits.session-share)"
    )]
    ChannelShare,
    /// This client has as many subscriptions as one client may.
    #[error(
        "the limit on subscriptions from one address, or in one session, is reached (limits.address-share, \
         limits.session-share)"
    )]
    Share,
    /// This node is still reading the messages of the cluster stream.
    #[error("this node has just started, and is still reading the messages of the cluster")]
    Starting,
    /// The history of the channel is on a disk that cannot be read at the moment.
    #[error("the history of {0} cannot be read now")]
    Unread(ChannelName),
    /// The limit on subscribers is reached.
    #[error("the limit of {0} subscribers is reached (hub.subscribers)")]
    Full(usize),
    /// The limit on new subscribers per second is reached.
    #[error("there are more than {0} new subscribers a second (hub.connect-rate)")]
    TooFast(u32),
    /// One address exceeds its part of `hub.connect-rate`.
    #[error(
        "there are too many new subscribers a second from your address (limits.address-share of hub.connect-rate)"
    )]
    AddressTooFast,
}

impl SubscribeError {
    /// True if the client's own share is exhausted, and not the limit for all clients.
    #[must_use]
    pub(crate) fn is_of_client(&self) -> bool {
        matches!(
            self,
            Self::Share | Self::ChannelShare | Self::AddressTooFast
        )
    }
}
