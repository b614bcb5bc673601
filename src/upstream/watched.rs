//! Read-only view of an upstream for metrics and `noren status`: load, reachability, counters.

use std::time::Instant;

use crate::telemetry::{AppMetrics, Failure};
use crate::upstream::{Upstream, UpstreamError};

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
        let reached = self.dial().await;
        self.reached.note(reached.is_ok(), Instant::now());
        reached.is_ok()
    }

    /// Counts the result of an exchange.
    pub(super) fn note(&self, error: Option<&UpstreamError>) {
        let now = Instant::now();
        let Some(error) = error else {
            return self.reached.note(true, now);
        };
        self.metrics.failed(failure(error));
        if matches!(error, UpstreamError::Connect(_)) {
            self.reached.note(false, now);
        }
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
