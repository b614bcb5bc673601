//! The component that assigns each message its offset: this hub, or a stream that the nodes of a cluster share.
//!
//! The stream itself belongs to the cluster, above the hub, which drives it with the methods of `stream_entries`.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::config::ChannelName;
use crate::hub::PublishError;
use crate::hub::channel::Presence;
use crate::hub::message::{Draft, EventId};

/// A stream that all nodes of a cluster write to and read from, as the hub sees it. A trait although only the cluster
/// implements it: the hub must not know the cluster, which is built on the hub.
pub(crate) trait SharedStream: Send + Sync {
    /// Queues a message for the stream. The returned future gives its id once this node has read it back.
    ///
    /// # Errors
    /// [`PublishError::NotStored`] if too many messages wait for the broker already.
    fn publish(
        &self,
        channel: &ChannelName,
        draft: Draft,
    ) -> Result<oneshot::Receiver<EventId>, PublishError>;

    /// True once this node has read all that was in the stream at its start, and can resolve the cursors of
    /// subscribers.
    fn has_caught_up(&self) -> bool;

    /// Subscribers of a channel at the other nodes.
    fn presence_elsewhere(&self, channel: &ChannelName) -> Presence;
}

/// The component that assigns each message its offset.
#[derive(Clone, Default)]
pub(crate) enum Sequencer {
    /// This hub counts its messages itself.
    #[default]
    Local,
    /// The position of a message in the stream is its offset.
    Stream(Arc<dyn SharedStream>),
}

impl Sequencer {
    /// The shared stream; `None` for a hub that counts by itself.
    pub(super) fn stream(&self) -> Option<&dyn SharedStream> {
        match self {
            Self::Local => None,
            Self::Stream(stream) => Some(&**stream),
        }
    }

    /// True while a stream is still being read from its beginning.
    pub(super) fn is_catching_up(&self) -> bool {
        self.stream().is_some_and(|stream| !stream.has_caught_up())
    }

    /// Subscribers of a channel at the other nodes; none without a stream.
    pub(super) fn presence_elsewhere(&self, channel: &ChannelName) -> Presence {
        let stream = self.stream();
        stream.map_or_else(Presence::default, |stream| {
            stream.presence_elsewhere(channel)
        })
    }
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "Local",
            Self::Stream(_) => "Stream",
        })
    }
}
