//! The seam between one hub and several: where the order of messages comes from.
//!
//! Alone, a hub gives each message the next offset itself. In a cluster every node writes what is published into
//! one stream of a RabbitMQ broker, and takes what is in the stream, its own included, in the stream's order: the
//! offset there is the offset here, so that an id means the same on every node. What all nodes have to agree on
//! beside it, they read out of the stream as well: the epoch, who listens, which sessions have ended.

mod apply;
mod letter;
mod others;
mod outgoing;
mod stream;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::config;
use crate::hub::broker::Broker;
use crate::hub::channel::Presence;
use crate::hub::message::{Draft, Epoch, EventId, unix_milliseconds};
use crate::hub::{ChannelName, PublishError, lock};
use crate::text::file::{LARGEST_SECRET, read};

use letter::Said;
use others::{Listeners, Others};
use outgoing::{Bounds, Outgoing};

/// The kinds of notes: who listens at a node, and a session that has ended.
const PRESENCE: &str = "presence";
const ENDED: &str = "ended";

/// Ends of sessions that wait for somebody to act on them.
const MOST_ENDED: usize = 10_000;

/// This node's way into the stream, and what it knows of it.
pub(super) struct Backbone {
    settings: config::Cluster,
    broker: Broker,
    outgoing: Outgoing,
    /// This run of this node.
    node: Box<str>,
    /// Everything that was in the stream when this node started is in its histories.
    caught_up: AtomicBool,
    others: Others,
    ended: Mutex<Vec<Bytes>>,
}

impl Backbone {
    pub(super) fn new(settings: &config::Cluster) -> Result<Self, String> {
        if let Some(path) = &settings.key {
            check_key(path).map_err(|reason| format!("{}: {reason}", path.display()))?;
        }
        let broker = Broker::new(&settings.broker).map_err(|error| error.to_string())?;
        Ok(Self {
            broker,
            outgoing: Outgoing::new(Bounds {
                messages: settings.pending,
                bytes: settings.pending_size,
            }),
            node: Epoch::new().to_string().into(),
            settings: settings.clone(),
            caught_up: AtomicBool::new(false),
            others: Others::default(),
            ended: Mutex::default(),
        })
    }

    /// Whether subscribers can be served: what they come back with is understood.
    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// Puts a message on its way; the answer has its id once it is in the stream.
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

    /// Who listens to a channel at the other nodes.
    pub(super) fn elsewhere(&self, channel: &ChannelName) -> Presence {
        self.others.presence(channel)
    }

    /// Tells the other nodes who listens here, if it is time to. While the broker is away it is not worth a place.
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

    /// Tells the other nodes that a session has ended.
    pub(super) fn tell_ended(&self, session: Bytes) {
        self.tell(ENDED, session);
    }

    /// The sessions that have ended elsewhere since this was last asked.
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

/// Whether a file has a key that is worth the name.
fn check_key(path: &Path) -> Result<(), String> {
    let key = read(path, LARGEST_SECRET).map_err(|error| error.to_string())?;
    if key.trim_ascii().len() < 32 {
        return Err(
            "the key of the cluster has fewer than 32 characters; make one with: openssl rand -hex 32"
                .to_owned(),
        );
    }
    Ok(())
}
