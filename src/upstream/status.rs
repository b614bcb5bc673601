//! Read-only view of an upstream for metrics and `noren status`: load, reachability, counters.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::telemetry::{AppMetrics, Failure};
use crate::upstream::condition::{Condition, State};
use crate::upstream::{Upstream, UpstreamError};

/// The longest that somebody who looks waits for an app to take a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// Load of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Number of its workers.
    pub workers: usize,
    /// Number of workers busy with a request.
    pub busy: usize,
    /// Number of requests that wait for a worker.
    pub waiting: usize,
}

impl Upstream {
    /// The counters of this app.
    #[must_use]
    pub fn metrics(&self) -> &AppMetrics {
        &self.metrics
    }

    /// Current load.
    #[must_use]
    pub fn load(&self) -> Load {
        self.queue.load()
    }

    /// Checks reachability: by the requests of the last seconds, or else by connecting once.
    pub async fn is_reachable(&self) -> bool {
        if let Some(reached) = self.reached.recently() {
            return reached;
        }
        let reached = timeout(PATIENCE, self.dial()).await;
        let now = Instant::now();
        let fault = match reached {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("it did not take a connection within {PATIENCE:?}")),
        };
        let is_reached = fault.is_none();
        self.reached.note(is_reached, now);
        match fault {
            None => self.watch.connected(now),
            Some(fault) => self.watch.failed(State::Down, fault, now),
        }
        is_reached
    }

    /// Returns how the last exchange ended, since when that is so, and the last error.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.watch.condition()
    }

    /// Counts the result of an exchange.
    pub(super) fn note(&self, error: Option<&UpstreamError>) {
        let now = Instant::now();
        let Some(error) = error else {
            self.watch.answered(now);
            return self.reached.note(true, now);
        };
        self.metrics.failed(failure(error));
        if let Some(state) = state(error) {
            self.watch.failed(state, error.to_string(), now);
        }
        if matches!(error, UpstreamError::Connect(_)) {
            self.reached.note(false, now);
        }
    }
}

/// The state that an error shows the app in; none if it is busy, which is no fault.
fn state(error: &UpstreamError) -> Option<State> {
    match error {
        UpstreamError::QueueFull(_) | UpstreamError::QueueSlow(_) => None,
        UpstreamError::Connect(_) => Some(State::Down),
        UpstreamError::Unwell(_) => Some(State::Unwell),
        UpstreamError::Slow(_) => Some(State::Silent),
        UpstreamError::Broken(_) => Some(State::Broken),
    }
}

/// The failure that an error counts as.
fn failure(error: &UpstreamError) -> Failure {
    match error {
        UpstreamError::QueueFull(_) => Failure::QueueFull,
        UpstreamError::QueueSlow(_) => Failure::QueueSlow,
        UpstreamError::Connect(_) | UpstreamError::Unwell(_) => Failure::Connect,
        UpstreamError::Slow(_) => Failure::Slow,
        UpstreamError::Broken(_) => Failure::Broken,
    }
}
