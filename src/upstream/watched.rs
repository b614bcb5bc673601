//! An app as somebody sees it who looks: how busy it is, whether it can be reached; and what is counted of it.

use std::time::Instant;

use crate::net::connect;
use crate::telemetry::{AppMetrics, Failure};
use crate::upstream::{Upstream, UpstreamError};

/// How busy an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Its workers.
    pub workers: usize,
    /// Those that are busy with a request of ours.
    pub busy: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

impl Upstream {
    /// What is counted of this app.
    #[must_use]
    pub fn metrics(&self) -> &AppMetrics {
        &self.metrics
    }

    /// How busy it is now.
    #[must_use]
    pub fn load(&self) -> Load {
        self.queue.load()
    }

    /// Whether it can be reached: as the requests of the last seconds say, or else by connecting to it once.
    pub async fn is_reachable(&self) -> bool {
        if let Some(reached) = self.reached.recently() {
            return reached;
        }
        let reached = connect(&self.settings.url, self.settings.connect).await;
        self.reached.note(reached.is_ok(), Instant::now());
        reached.is_ok()
    }

    /// Counts how an exchange went.
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

/// What an error is counted as.
fn failure(error: &UpstreamError) -> Failure {
    match error {
        UpstreamError::QueueFull(_) => Failure::QueueFull,
        UpstreamError::QueueSlow(_) => Failure::QueueSlow,
        UpstreamError::Connect(_) => Failure::Connect,
        UpstreamError::Slow(_) => Failure::Slow,
        UpstreamError::Broken(_) => Failure::Broken,
    }
}
