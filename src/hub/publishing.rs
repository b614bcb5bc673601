//! Publishing: a message gets its id and its place. It waits for nobody; whether it is kept, whoever asks is told
//! later.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::config::ChannelName;
use crate::hub::channels::Missing;
use crate::hub::message::{Draft, EventId, Message, unix_milliseconds};
use crate::hub::store::Acknowledgement;
use crate::hub::{Hub, PublishError, lock};

/// A message that was taken.
#[derive(Debug)]
pub struct Published {
    /// The id it got.
    pub id: EventId,
    kept: Option<Acknowledgement>,
}

impl Published {
    /// Waits until the message is as durable as its channel promises: on disk, where the history is.
    ///
    /// # Errors
    /// [`PublishError::NotKept`]: it was delivered, but may be gone after a restart.
    pub async fn acknowledged(self) -> Result<EventId, PublishError> {
        if let Some(kept) = self.kept {
            kept.await
                .map_err(|error| PublishError::NotKept(error.to_string()))?;
        }
        Ok(self.id)
    }

    /// The same, to wait for it beside others; none if there is nothing to wait for.
    pub(super) fn pending(self) -> Option<Pending> {
        let waits = self.kept.is_some();
        waits.then(|| Box::pin(self.acknowledged()) as Pending)
    }
}

/// A message that will be as durable as its channel promises.
pub(super) type Pending = Pin<Box<dyn Future<Output = Result<EventId, PublishError>> + Send>>;

impl Hub {
    /// Publishes a message. Does not wait for anybody.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was published then.
    pub fn publish(&self, name: &ChannelName, draft: Draft) -> Result<Published, PublishError> {
        let limit = self.0.settings.load().hub.message_size;
        let size = draft.size();
        if size > limit {
            return Err(PublishError::TooLarge { size, limit });
        }
        if let Some(fault) = draft.fault() {
            return Err(PublishError::Malformed(fault));
        }
        let channel = self.channel(name).map_err(|missing| match missing {
            Missing::Unknown => PublishError::Unknown(name.clone()),
            Missing::TooMany(limit) => PublishError::TooManyChannels(limit),
        })?;
        let mut sequence = lock(&self.0.sequence);
        let id = self.id(*sequence + 1);
        let message = Message::new(id.clone(), name.clone(), draft, unix_milliseconds());
        // Under the lock, so that the store has them in the same order. It only queues.
        let kept = self.keep(&channel, &message)?;
        let appended = channel.append(Arc::new(message));
        self.forget(&channel, appended.replaced, appended.lost);
        *sequence += 1;
        self.0.head.store(*sequence, Ordering::Release);
        drop(sequence);
        channel.metrics.messages.inc();
        channel.wake();
        Ok(Published { id, kept })
    }
}
