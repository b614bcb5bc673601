//! Cluster mode of the hub: takes the order of messages from a shared stream in place of a local counter.
//!
//! Alone, a hub gives each message the next offset itself. In a cluster every node writes what is published into
//! one stream of a RabbitMQ broker, and takes what is in the stream, its own included, in the stream's order: the
//! offset there is the offset here, so that an id means the same on every node. What all nodes have to agree on
//! beside it, they read out of the stream as well: the epoch, who listens, which sessions have ended.

mod apply;
mod condition;
mod publish_queue;
mod record;
mod remote_presence;
mod stream;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::amqp::Broker;
use crate::config;
use crate::hub::channel::Presence;
use crate::hub::message::{Draft, Epoch, EventId, unix_milliseconds};
use crate::hub::{ChannelName, PublishError};
use crate::sync::lock;
use crate::text::Reason;
use crate::text::file::{LARGEST_SECRET, read};
use crate::text::permission::Use;

pub use condition::ClusterStatus;

use condition::Condition;
use publish_queue::{Bounds, Outgoing};
use record::Said;
use remote_presence::{Listeners, Others};

/// Kinds of notes: the presence at a node, and a session that has ended.
const PRESENCE: &str = "presence";
const ENDED: &str = "ended";

/// Limit on ended sessions that are queued until the service acts on them.
const MOST_ENDED: usize = 10_000;

/// This node's connection to the stream: its publish queue, and the state that other nodes have reported.
pub(super) struct Backbone {
    settings: config::Cluster,
    broker: Broker,
    outgoing: Outgoing,
    /// Name of this run of this node.
    node: Box<str>,
    /// True once every message that was in the stream at this node's start is in its histories.
    caught_up: AtomicBool,
    condition: Condition,
    others: Others,
    ended: Mutex<Vec<Bytes>>,
}

impl Backbone {
    pub(super) fn new(settings: &config::Cluster) -> Result<Self, Reason> {
        if let Some(path) = &settings.key {
            check_key(path).map_err(|reason| reason.at(path))?;
        }
        let broker = Broker::new(&settings.broker)?;
        Ok(Self {
            broker,
            outgoing: Outgoing::new(Bounds {
                messages: settings.pending,
                bytes: settings.pending_size,
            }),
            node: Epoch::new().to_string().into(),
            settings: settings.clone(),
            caught_up: AtomicBool::new(false),
            condition: Condition::default(),
            others: Others::default(),
            ended: Mutex::default(),
        })
    }

    /// True once subscribers can be served: from then on the node can resolve their cursors.
    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// The stream and this node's connection to it.
    pub(super) fn status(&self) -> ClusterStatus {
        let (since, last_error) = self.condition.now();
        ClusterStatus {
            stream: self.settings.stream.clone(),
            address: self.settings.broker.to_string(),
            since,
            caught_up: self.has_caught_up(),
            waiting: self.outgoing.count(),
            last_error,
        }
    }

    /// Queues a message for the stream; the returned future gives its id once it has come back in the stream.
    pub(super) fn send(
        &self,
        channel: ChannelName,
        draft: Draft,
    ) -> Result<oneshot::Receiver<EventId>, PublishError> {
        let sent = self.outgoing.push(Said::Message {
            channel,
            draft,
            time: unix_milliseconds(),
        });
        sent.ok_or_else(|| {
            let count = self.outgoing.count();
            PublishError::NotKept(format!(
                "{count} messages wait for the broker of the cluster already (cluster.pending)"
            ))
        })
    }

    /// Subscribers of a channel at the other nodes.
    pub(super) fn elsewhere(&self, channel: &ChannelName) -> Presence {
        self.others.presence(channel)
    }

    /// Sends this node's presence to the other nodes if it has changed or is due. Skipped while the broker is
    /// unreachable, so that it takes no place in the queue.
    pub(super) fn tell_presence(&self, here: impl Iterator<Item = (ChannelName, Presence)>) {
        if !self.has_caught_up() || self.outgoing.count() > 0 {
            return;
        }
        let mut listeners = Listeners::default();
        for (name, presence) in here {
            listeners.insert(&name, presence);
        }
        if let Some(told) = self.others.to_tell(listeners) {
            self.tell(PRESENCE, told.into());
        }
    }

    /// Notifies the other nodes that a session has ended.
    pub(super) fn tell_ended(&self, session: Bytes) {
        self.tell(ENDED, session);
    }

    /// Takes the sessions that have ended at other nodes since the last call.
    pub(super) fn take_ended(&self) -> Vec<Bytes> {
        std::mem::take(&mut *lock(&self.ended))
    }

    fn ended(&self, session: &Bytes) {
        let mut ended = lock(&self.ended);
        if ended.len() < MOST_ENDED {
            ended.push(session.clone());
        }
    }

    fn tell(&self, kind: &str, data: Bytes) {
        let kind = kind.into();
        let _ = self.outgoing.push(Said::Note { kind, data });
    }
}

/// Checks that a key file holds a key of sufficient length.
fn check_key(path: &Path) -> Result<(), Reason> {
    let key = read(path, LARGEST_SECRET).map_err(|error| Reason::new(path, Use::Read, &error))?;
    if key.trim_ascii().len() < 32 {
        return Err(
            "the key of the cluster has fewer than 32 characters; make one with: openssl rand -hex 32".into(),
        );
    }
    Ok(())
}
