//! A cluster: several nodes take the order of their messages from one stream of a RabbitMQ broker.
//!
//! Alone, a hub gives each message the next offset itself. In a cluster every node writes its publishes into the
//! stream, and applies the entries of the stream, its own included, in their order: the offset in the stream is the
//! offset in the hub, so that an id means the same on every node. The rest that all nodes have to agree on is in the
//! stream as well: the epoch, the presence at each node, and the sessions that have ended.
//!
//! Must not know HTTP, sessions and apps.

mod connection_status;
mod error;
mod publish_queue;
mod record;
mod remote_presence;
mod stream;
mod stream_reader;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::info;

use crate::amqp::Broker;
use crate::clock::now_milliseconds;
use crate::config::{self, ChannelName, Config};
use crate::hub::{Draft, Epoch, EventId, Hub, Presence, PublishError, Sequencer, SharedStream};
use crate::shutdown::Shutdown;
use crate::sync::lock;
use crate::text::Reason;
use crate::text::file::{LARGEST_SECRET, read};
use crate::text::permission::Use;

pub(crate) use connection_status::ClusterStatus;
pub(crate) use error::ClusterError;

use connection_status::ConnectionStatus;
use publish_queue::{Bounds, PublishQueue};
use record::Content;
use remote_presence::{PresenceReport, RemotePresence};

/// Kinds of notes: the presence at a node, and a session that has ended.
const PRESENCE: &str = "presence";
const ENDED: &str = "ended";

/// Limit on ended sessions that are queued until the service acts on them.
const MOST_ENDED: usize = 10_000;

/// Fewest bytes of the key that the nodes share.
const SHORTEST_KEY: usize = 32;

/// This node's membership of a cluster. Clones share it.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Node>);

/// This node's side of the stream: its publish queue, and the state that other nodes have reported.
struct Node {
    settings: config::Cluster,
    broker: Broker,
    queue: PublishQueue,
    /// Name of this run of this node.
    name: Box<str>,
    /// True once every message that was in the stream at this node's start is in its histories.
    caught_up: AtomicBool,
    connection: ConnectionStatus,
    elsewhere: RemotePresence,
    ended: Mutex<Vec<Bytes>>,
}

impl Cluster {
    /// Joins the cluster of a configuration, if it has one. Reads files, and connects to nothing.
    ///
    /// # Errors
    /// A [`ClusterError`] says which file cannot be used, and why.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, ClusterError> {
        let settings = config.cluster.as_ref();
        settings.map(Self::new).transpose()
    }

    fn new(settings: &config::Cluster) -> Result<Self, ClusterError> {
        if let Some(path) = &settings.key {
            check_key(path).map_err(|reason| ClusterError(reason.at(path)))?;
        }
        Ok(Self(Arc::new(Node {
            broker: Broker::new(&settings.broker).map_err(|error| ClusterError(error.into()))?,
            queue: PublishQueue::new(Bounds {
                messages: settings.pending,
                bytes: settings.pending_size,
            }),
            name: Epoch::new().to_string().into(),
            settings: settings.clone(),
            caught_up: AtomicBool::new(false),
            connection: ConnectionStatus::default(),
            elsewhere: RemotePresence::default(),
            ended: Mutex::default(),
        })))
    }

    /// The sequencer for the hub of this node.
    #[must_use]
    pub(crate) fn sequencer(&self) -> Sequencer {
        Sequencer::Stream(Arc::clone(&self.0) as Arc<dyn SharedStream>)
    }

    /// Starts the task that applies the stream to the hub until the server stops.
    pub(crate) fn follow(&self, hub: &Hub, shutdown: &Shutdown) {
        shutdown.spawn(stream::follow(
            Arc::clone(&self.0),
            hub.clone(),
            shutdown.clone(),
        ));
    }

    /// The stream and this node's connection to it.
    #[must_use]
    pub(crate) fn status(&self) -> ClusterStatus {
        let node = &*self.0;
        let (since, last_error) = node.connection.now();
        ClusterStatus {
            stream: node.settings.stream.clone(),
            address: node.settings.broker.to_string(),
            since,
            caught_up: node.has_caught_up(),
            waiting: node.queue.count(),
            last_error,
        }
    }

    /// Sends this node's presence to the other nodes if it has changed or is due. Skipped while the broker is
    /// unreachable, so that it takes no place in the queue.
    pub(crate) fn report_presence(&self, hub: &Hub) {
        let node = &*self.0;
        if !node.has_caught_up() || node.queue.count() > 0 {
            return;
        }
        let mut report = PresenceReport::default();
        for (name, presence) in hub.presence_here() {
            report.insert(&name, presence);
        }
        if let Some(report) = node.elsewhere.due(report) {
            node.note(PRESENCE, report.into());
        }
    }

    /// Notifies the other nodes that a session has ended.
    pub(crate) fn report_ended(&self, session: Vec<u8>) {
        self.0.note(ENDED, session.into());
    }

    /// Takes the sessions that have ended at other nodes since the last call.
    #[must_use]
    pub(crate) fn take_ended(&self) -> Vec<Bytes> {
        std::mem::take(&mut *lock(&self.0.ended))
    }
}

impl SharedStream for Node {
    fn publish(
        &self,
        channel: &ChannelName,
        draft: Draft,
    ) -> Result<oneshot::Receiver<EventId>, PublishError> {
        let queued = self.queue.push(Content::Message {
            channel: channel.clone(),
            draft,
            time: now_milliseconds(),
        });
        queued.ok_or_else(|| {
            let count = self.queue.count();
            PublishError::NotStored(format!(
                "{count} messages wait for the broker of the cluster already (cluster.pending)"
            ))
        })
    }

    fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    fn presence_elsewhere(&self, channel: &ChannelName) -> Presence {
        self.elsewhere.presence(channel)
    }
}

impl Node {
    /// Marks this node as caught up: its histories have every message that was in the stream at its start.
    fn catch_up(&self, hub: &Hub) {
        if !self.caught_up.swap(true, Ordering::AcqRel) {
            info!(newest = %hub.newest(), "caught up with the cluster");
        }
        self.connection.set_up();
    }

    /// Marks this node as not caught up: the stream was replaced by another.
    fn start_anew(&self) {
        self.caught_up.store(false, Ordering::Release);
    }

    /// Queues a note to the other nodes. It is dropped if the queue is full.
    fn note(&self, kind: &str, data: Bytes) {
        let kind = kind.into();
        let _ = self.queue.push(Content::Note { kind, data });
    }

    /// Handles a note from another node. Notes from before the start of this node are outdated and are skipped.
    fn receive_note(&self, sender: &str, kind: &str, data: &Bytes) {
        if !self.has_caught_up() || *self.name == *sender {
            return;
        }
        match kind {
            PRESENCE => self.elsewhere.receive(sender, data),
            ENDED => {
                let mut ended = lock(&self.ended);
                if ended.len() < MOST_ENDED {
                    ended.push(data.clone());
                }
            }
            _ => {}
        }
    }
}

/// Checks that a key file holds a key of sufficient length.
fn check_key(path: &Path) -> Result<(), Reason> {
    let key = read(path, LARGEST_SECRET).map_err(|error| Reason::new(path, Use::Read, &error))?;
    if key.trim_ascii().len() < SHORTEST_KEY {
        return Err(
            "the key of the cluster has fewer than 32 characters; make one with: openssl rand -hex 32".into(),
        );
    }
    Ok(())
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("stream", &self.0.settings.stream)
            .finish_non_exhaustive()
    }
}
