//! Condition of this node's connection to the stream, for `noren status`, the metrics and `/readyz`.

use std::sync::Mutex;
use std::time::Instant;

use serde::Serialize;

use crate::sync::lock;
use crate::telemetry;

/// The cluster as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
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

/// The connection, as its task reports it.
#[derive(Debug, Default)]
pub(super) struct Condition(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    last_error: Option<String>,
}

impl Condition {
    /// The connection works: what the node has written over it came back.
    pub(super) fn set_up(&self) {
        let mut state = lock(&self.0);
        state.since.get_or_insert_with(Instant::now);
        state.last_error = None;
    }

    /// The connection has ended for this reason.
    pub(super) fn set_down(&self, reason: String) {
        let mut state = lock(&self.0);
        state.since = None;
        state.last_error = Some(reason);
    }

    /// Unix milliseconds of the last `set_up`, and the reason why it is down.
    pub(super) fn now(&self) -> (Option<u64>, Option<String>) {
        let state = lock(&self.0);
        (state.since.map(telemetry::since), state.last_error.clone())
    }
}
