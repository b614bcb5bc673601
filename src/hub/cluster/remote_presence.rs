//! Presence at the other nodes, from the last report of each. A node that has stopped reporting counts as empty.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::config::ChannelName;
use crate::hub::channel::Presence;
use crate::sync::lock;

/// Interval at which a node repeats its presence report, and the time after which a report expires.
const AGAIN: Duration = Duration::from_secs(5);
const BELIEVED: Duration = Duration::from_secs(16);

/// Presence reports: the last one sent, and the last one received from each other node.
#[derive(Debug, Default)]
pub(super) struct Others {
    nodes: Mutex<HashMap<Box<str>, Node>>,
    told: Mutex<Option<(Instant, Listeners)>>,
}

#[derive(Debug)]
struct Node {
    heard: Instant,
    listeners: Listeners,
}

/// Subscribers by channel name: their number and their user names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listeners(HashMap<String, (usize, Vec<String>)>);

impl Listeners {
    pub(super) fn insert(&mut self, channel: &ChannelName, presence: Presence) {
        if presence.count > 0 {
            let names = presence.names.into_iter().collect();
            self.0.insert(channel.to_string(), (presence.count, names));
        }
    }
}

impl Others {
    /// Stores the report of another node. A report that cannot be parsed counts as an empty one.
    pub(super) fn heard(&self, node: &str, data: &[u8]) {
        let Ok(listeners) = serde_json::from_slice(data) else {
            return;
        };
        let mut nodes = lock(&self.nodes);
        nodes.retain(|_, node| node.heard.elapsed() < BELIEVED);
        let heard = Instant::now();
        nodes.insert(node.into(), Node { heard, listeners });
    }

    /// Subscribers of a channel at the other nodes.
    pub(super) fn presence(&self, channel: &ChannelName) -> Presence {
        let mut presence = Presence::default();
        for node in lock(&self.nodes).values() {
            if node.heard.elapsed() >= BELIEVED {
                continue;
            }
            if let Some((count, names)) = node.listeners.0.get(channel.as_str()) {
                presence.count += count;
                presence.names.extend(names.iter().cloned());
            }
        }
        presence
    }

    /// Returns the report to send if the local presence has changed or the repeat interval has passed.
    pub(super) fn to_tell(&self, listeners: Listeners) -> Option<Vec<u8>> {
        let mut told = lock(&self.told);
        if let Some((at, before)) = &*told
            && *before == listeners
            && at.elapsed() < AGAIN
        {
            return None;
        }
        let text = serde_json::to_vec(&listeners).ok();
        *told = Some((Instant::now(), listeners));
        text
    }
}
