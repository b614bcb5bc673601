//! Publishing: a message gets its id and its place, at once or when the disk has it. It waits for nobody; what became
//! of it, whoever asks is told later.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::ChannelName;
use crate::hub::keeping::not_kept;
use crate::hub::message::{Draft, EventId, Message, unix_milliseconds};
use crate::hub::store::Acknowledgement;
use crate::hub::{Hub, PublishError, lock};

/// How long a publisher waits for the broker of a cluster; the message itself goes on waiting.
const CLUSTER_LIMIT: Duration = Duration::from_secs(60);

/// A message that was taken.
#[derive(Debug)]
pub struct Published(Settled);

/// What there is to wait for.
#[derive(Debug)]
enum Settled {
    /// Nothing: it is as durable as it will be.
    Now(EventId),
    /// Its place, once it is on the disk.
    Disk(Hub, Acknowledgement),
    /// Its place in the stream.
    Cluster(oneshot::Receiver<EventId>),
}

impl Published {
    /// One that there was before.
    pub(super) fn before(id: EventId) -> Self {
        Self(Settled::Now(id))
    }

    pub(super) fn on_disk(hub: &Hub, kept: Acknowledgement) -> Self {
        Self(Settled::Disk(hub.clone(), kept))
    }

    /// The id it got; on disk and in a cluster it has none yet.
    #[cfg(test)]
    pub fn id(&self) -> Option<&EventId> {
        match &self.0 {
            Settled::Now(id) => Some(id),
            Settled::Disk(..) | Settled::Cluster(_) => None,
        }
    }

    /// Waits until the message is as durable as its channel promises: on disk, where the history is, or in the
    /// stream of the cluster.
    ///
    /// # Errors
    /// [`PublishError::NotKept`]: nobody has seen it; or in a cluster, it has not been delivered within a time.
    pub async fn acknowledged(self) -> Result<EventId, PublishError> {
        match self.0 {
            Settled::Now(id) => Ok(id),
            Settled::Disk(hub, kept) => match kept.await {
                Ok(offset) => Ok(hub.id_on_disk(offset)),
                Err(error) => Err(not_kept(&error)),
            },
            Settled::Cluster(seen) => match timeout(CLUSTER_LIMIT, seen).await {
                Ok(Ok(id)) => Ok(id),
                _ => Err(PublishError::NotKept(
                    "the broker of the cluster has not taken it; it still waits for that"
                        .to_owned(),
                )),
            },
        }
    }

    /// The same for a message whose history is on disk; none for others.
    pub(super) fn pending_on_disk(self) -> Option<Pending> {
        let waits = matches!(self.0, Settled::Disk(..));
        waits.then(|| Box::pin(self.acknowledged()) as Pending)
    }

    /// The same, to wait for it beside others; none if there is nothing to wait for.
    pub(super) fn pending(self) -> Option<Pending> {
        let waits = !matches!(self.0, Settled::Now(_));
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
        if let Some(fault) = draft.fault() {
            return Err(PublishError::Malformed(fault));
        }
        self.publish_own(name, draft)
    }

    /// The same for a message of Noren's own, which may be a signal.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was published then.
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
        if let Some(backbone) = &self.0.backbone {
            let seen = backbone.send(name.clone(), draft)?;
            return Ok(Published(Settled::Cluster(seen)));
        }
        if channel.is_kept() {
            return self.keep(&channel, draft);
        }
        let own = draft.id.take();
        let mut places = lock(&self.0.places);
        if let Some(before) = own.and_then(|id| channel.ids().find(&id)) {
            return Ok(Published(Settled::Now(self.id(before))));
        }
        if self.0.packed.load(Ordering::Acquire) {
            return Err(PublishError::Moving);
        }
        let offset = places.take();
        let id = self.id(offset);
        let (time, came) = (unix_milliseconds(), Instant::now());
        let message = Message::new(id.clone(), name.clone(), draft, time, came);
        channel.append(Arc::new(message));
        channel.remember(own, offset, came);
        self.0.head.store(offset, Ordering::Release);
        drop(places);
        channel.metrics.messages.inc();
        channel.wake();
        Ok(Published(Settled::Now(id)))
    }
}
