//! Publishing: assigns a message its id and offset, at once or when the disk or the cluster has it. Never waits
//! for a subscriber; the result can be awaited separately.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock::now_milliseconds;
use crate::config::ChannelName;
use crate::hub::message::{Draft, EventId, Message};
use crate::hub::store::Acknowledgement;
use crate::hub::{Hub, PublishError};
use crate::sync::lock;

/// Time that a publisher waits for the broker of a cluster; the message itself stays queued.
const STREAM_LIMIT: Duration = Duration::from_secs(60);

/// A message that was accepted.
#[derive(Debug)]
pub(crate) struct Published(Outcome);

/// State of the result of publishing.
#[derive(Debug)]
enum Outcome {
    /// The message is already as durable as its channel promises.
    Now(EventId),
    /// The message waits for the disk; its commit assigns the offset.
    Disk(Hub, Acknowledgement),
    /// The message waits for the cluster stream, which assigns the id.
    Stream(oneshot::Receiver<EventId>),
}

impl Published {
    /// The result for a repeated message: the id of the first.
    pub(super) fn repetition(id: EventId) -> Self {
        Self(Outcome::Now(id))
    }

    pub(super) fn on_disk(hub: &Hub, kept: Acknowledgement) -> Self {
        Self(Outcome::Disk(hub.clone(), kept))
    }

    /// The id of the message; `None` while the disk or the cluster has not assigned it.
    #[cfg(test)]
    pub(crate) fn id(&self) -> Option<&EventId> {
        match &self.0 {
            Outcome::Now(id) => Some(id),
            Outcome::Disk(..) | Outcome::Stream(_) => None,
        }
    }

    /// Waits until the message is as durable as its channel promises: on disk, or in the stream of the cluster.
    ///
    /// # Errors
    /// [`PublishError::NotStored`] if the disk refused the message, which no subscriber has seen then, or if the
    /// cluster has not confirmed it in time.
    pub(crate) async fn acknowledged(self) -> Result<EventId, PublishError> {
        match self.0 {
            Outcome::Now(id) => Ok(id),
            Outcome::Disk(hub, kept) => match kept.await {
                Ok(offset) => Ok(hub.id_on_disk(offset)),
                Err(error) => Err(PublishError::not_kept(&error)),
            },
            Outcome::Stream(confirmed) => match timeout(STREAM_LIMIT, confirmed).await {
                Ok(Ok(id)) => Ok(id),
                _ => Err(PublishError::NotStored(
                    "the broker of the cluster has not taken it; it still waits for that"
                        .to_owned(),
                )),
            },
        }
    }

    /// A future of the result for a message whose history is on disk; `None` for others.
    pub(crate) fn pending_on_disk(self) -> Option<Pending> {
        let waits = matches!(self.0, Outcome::Disk(..));
        waits.then(|| Box::pin(self.acknowledged()) as Pending)
    }

    /// A future of the result, to be awaited together with others; `None` if the result is known already.
    pub(crate) fn pending(self) -> Option<Pending> {
        let waits = !matches!(self.0, Outcome::Now(_));
        waits.then(|| Box::pin(self.acknowledged()) as Pending)
    }
}

/// A pending result: resolves when the message is as durable as its channel promises.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Result<EventId, PublishError>> + Send>>;

impl Hub {
    /// Publishes a message without waiting for the disk or the cluster.
    ///
    /// # Errors
    /// A [`PublishError`] gives the reason; nothing was published then.
    pub(crate) fn publish(
        &self,
        name: &ChannelName,
        draft: Draft,
    ) -> Result<Published, PublishError> {
        if let Some(fault) = draft.fault() {
            return Err(PublishError::Malformed(fault));
        }
        if name.is_internal() {
            return Err(PublishError::Unknown(name.clone()));
        }
        self.publish_own(name, draft)
    }

    /// Publishes a message of Noren itself, which may have a reserved event name.
    ///
    /// # Errors
    /// A [`PublishError`] gives the reason; nothing was published then.
    pub(super) fn publish_own(
        &self,
        name: &ChannelName,
        mut draft: Draft,
    ) -> Result<Published, PublishError> {
        let limit = self.0.settings.load().hub.message_size;
        let size = draft.size();
        if size > limit {
            return Err(PublishError::TooLarge { size, limit });
        }
        if let Some(fault) = draft.label_fault() {
            return Err(PublishError::Malformed(fault));
        }
        let channel = self.channel(name);
        let channel = channel.map_err(|missing| missing.for_publisher(name))?;
        if let Some(stream) = self.0.sequencer.stream() {
            let confirmed = stream.publish(name, draft)?;
            return Ok(Published(Outcome::Stream(confirmed)));
        }
        if channel.is_kept() {
            return self.keep(&channel, draft);
        }
        let own = draft.id.take();
        let mut sequence = lock(&self.0.sequence);
        if let Some(before) = own.and_then(|id| channel.ids().find(&id)) {
            return Ok(Published(Outcome::Now(self.id(before))));
        }
        if self.0.is_handed_over.load(Ordering::Acquire) {
            return Err(PublishError::Moving);
        }
        let offset = sequence.take();
        let id = self.id(offset);
        let (time, came) = (now_milliseconds(), Instant::now());
        let message = Message::new(id.clone(), name.clone(), draft, time, came);
        channel.append(Arc::new(message));
        channel.remember(own, offset, came);
        self.0.head.store(offset, Ordering::Release);
        drop(sequence);
        channel.metrics.messages.inc();
        channel.wake();
        Ok(Published(Outcome::Now(id)))
    }
}
