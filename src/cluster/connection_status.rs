//! Status of this node's connection to the stream, for `noren status`, the metrics and `/readyz`.

use std::sync::Mutex;
use std::time::Instant;

use crate::clock;
use crate::sync::lock;

/// The cluster as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterStatus {
    /// Name of the stream.
    pub stream: String,
    /// Address of the broker.
    pub address: String,
    /// Time since which the node is connected and has read the stream, in Unix milliseconds; `None` while it is not.
    pub since: Option<u64>,
    /// True once the node has read the stream since its start: before that it serves no subscriber.
    pub caught_up: bool,
    /// Number of messages of this node that have not come back in the stream yet.
    pub waiting: usize,
    /// Reason why the node is not connected.
    pub last_error: Option<String>,
}

/// The connection as the stream task reports it.
#[derive(Debug, Default)]
pub(super) struct ConnectionStatus(Mutex<Connection>);

#[derive(Debug, Default)]
struct Connection {
    since: Option<Instant>,
    last_error: Option<String>,
    /// True while the broker accepts no messages.
    is_blocked: bool,
}

/// The reason for which a broker blocks those that publish.
const BLOCKED: &str = "the broker takes no messages: its disk or its memory is at its limit (rabbitmqctl status shows \
    the alarm)";

impl ConnectionStatus {
    /// Reports that the connection works: the node has read back its own record.
    pub(super) fn set_up(&self) {
        let mut connection = lock(&self.0);
        connection.since.get_or_insert_with(Instant::now);
        connection.last_error = None;
    }

    /// Reports that the connection has ended, and why.
    pub(super) fn set_down(&self, reason: String) {
        let mut connection = lock(&self.0);
        connection.since = None;
        connection.last_error = Some(reason);
        connection.is_blocked = false;
    }

    /// Reports whether the broker accepts messages. The connection stays.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        lock(&self.0).is_blocked = is_blocked;
    }

    /// Time of the last `set_up` in Unix milliseconds, and the reason why the connection is down.
    pub(super) fn now(&self) -> (Option<u64>, Option<String>) {
        let connection = lock(&self.0);
        if connection.is_blocked {
            return (None, Some(BLOCKED.to_owned()));
        }
        (
            connection.since.map(clock::since),
            connection.last_error.clone(),
        )
    }
}
