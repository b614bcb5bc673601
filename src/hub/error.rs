//! Why there is no hub, no message and no subscription.

use std::path::PathBuf;

use crate::config::ChannelName;
use crate::hub::store::StoreError;

/// Why there is no hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The file of `hub.publish-token`.
    #[error("{}: {reason}", path.display())]
    PublishToken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The histories on disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The way into the cluster.
    #[error("cluster: {0}")]
    Cluster(String),
    /// A store can only be opened at the start, before there is a first message.
    #[error(
        "history.store = \"disk\" where there was none, and hub.store, need a restart of Noren"
    )]
    StoreNeedsRestart,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No channel of this name is configured.
    #[error("there is no channel {0}")]
    Unknown(ChannelName),
    /// It is larger than `hub.message-size`.
    #[error("the message has {size} bytes, and hub.message-size is {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Its event name or key cannot be sent.
    #[error("{0}")]
    Malformed(&'static str),
    /// Patterns have made as many channels as they may.
    #[error("there are {0} channels already (hub.channels)")]
    TooManyChannels(usize),
    /// The visitor has had as many channels made as one address may.
    #[error("as many channels were made from your address as may be (limits.address-share)")]
    ChannelShare,
    /// Another process takes over.
    #[error("Noren is just being upgraded; publish again")]
    Moving,
    /// The disk does not take it, and nobody has seen it. The text goes to whoever published: it names no file.
    #[error("the message could not be kept: {0}; publish it again later")]
    NotKept(String),
}

/// Why somebody may not listen now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// No channel of this name is configured.
    #[error("there is no channel {0}")]
    Unknown(ChannelName),
    /// Patterns have made as many channels as they may.
    #[error("there are {0} channels already (hub.channels)")]
    TooManyChannels(usize),
    /// This client has had as many channels made as one may.
    #[error(
        "as many channels were made from your address, or in your session, as may be (limits.address-share, limits.session-share)"
    )]
    ChannelShare,
    /// This client listens as often as one may.
    #[error(
        "from your address, or in your session, as many listen already as may (limits.address-share, limits.session-share)"
    )]
    Share,
    /// What was said in the cluster is not all here yet.
    #[error("this node has just started, and reads what the cluster has said")]
    Starting,
    /// Its history is on a disk that cannot be read now.
    #[error("the history of {0} cannot be read now")]
    Unread(ChannelName),
    /// As many listen as may.
    #[error("{0} subscribers are here already (hub.subscribers)")]
    Full(usize),
    /// More come at once than may.
    #[error("more than {0} subscribers come in one second (hub.connect-rate)")]
    TooFast(u32),
}

impl SubscribeError {
    /// Whether it is the client's own share that is taken, and not all there is.
    #[must_use]
    pub fn is_of_client(&self) -> bool {
        matches!(self, Self::Share | Self::ChannelShare)
    }
}
