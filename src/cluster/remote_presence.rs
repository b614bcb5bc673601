//! Presence at the other nodes, from the last report of each. A node that has stopped reporting counts as empty.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::config::ChannelName;
use crate::hub::Presence;
use crate::sync::lock;

/// Interval at which a node repeats its presence report, and the time after which a report expires.
const REPEAT_EVERY: Duration = Duration::from_secs(5);
const EXPIRES_AFTER: Duration = Duration::from_secs(16);

/// Presence reports: the last one sent, and the last one received from each other node.
#[derive(Debug, Default)]
pub(super) struct RemotePresence {
    nodes: Mutex<HashMap<Box<str>, Node>>,
    sent: Mutex<Option<(Instant, PresenceReport)>>,
}

#[derive(Debug)]
struct Node {
    received: Instant,
    report: PresenceReport,
}

/// Subscribers by channel name: their number and their user names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PresenceReport(HashMap<String, (usize, Vec<String>)>);

impl PresenceReport {
    pub(super) fn insert(&mut self, channel: &ChannelName, presence: Presence) {
        if presence.count > 0 {
            let names = presence.names.into_iter().collect();
            self.0.insert(channel.to_string(), (presence.count, names));
        }
    }
}

impl RemotePresence {
    /// Stores the report of another node. A report that cannot be parsed counts as an empty one.
    pub(super) fn receive(&self, node: &str, data: &[u8]) {
        let Ok(report) = serde_json::from_slice(data) else {
            return;
        };
        let mut nodes = lock(&self.nodes);
        nodes.retain(|_, node| node.received.elapsed() < EXPIRES_AFTER);
        let received = Instant::now();
        nodes.insert(node.into(), Node { received, report });
    }

    /// Subscribers of a channel at the other nodes.
    pub(super) fn presence(&self, channel: &ChannelName) -> Presence {
        let mut presence = Presence::default();
        for node in lock(&self.nodes).values() {
            if node.received.elapsed() >= EXPIRES_AFTER {
                continue;
            }
            if let Some((count, names)) = node.report.0.get(channel.as_str()) {
                presence.count += count;
                presence.names.extend(names.iter().cloned());
            }
        }
        presence
    }

    /// Returns the report to send if the local presence has changed or the repeat interval has passed.
    pub(super) fn due(&self, report: PresenceReport) -> Option<Vec<u8>> {
        let mut sent = lock(&self.sent);
        if let Some((at, before)) = &*sent
            && *before == report
            && at.elapsed() < REPEAT_EVERY
        {
            return None;
        }
        let text = serde_json::to_vec(&report).ok();
        *sent = Some((Instant::now(), report));
        text
    }
}
