//! Read-only view of an upstream for metrics and `noren status`: load, reachability, counters.

use std::future::{Future as _, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use crate::config::AppUrl;
use crate::telemetry::{AppMetrics, Failure};
use crate::upstream::availability::ClosedReason;
use crate::upstream::backend::Backend;
use crate::upstream::condition::{Condition, State};
use crate::upstream::{Upstream, UpstreamError};

/// Load of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Number of its workers.
    pub workers: usize,
    /// Number of workers busy with a request.
    pub busy: usize,
    /// Number of requests that wait for a worker.
    pub waiting: usize,
}

/// State of one address of an app.
#[derive(Clone, Debug)]
pub(crate) struct AddressStatus {
    /// The address.
    pub url: AppUrl,
    /// True if it gets requests.
    pub is_open: bool,
    /// True if an operator drains it.
    pub is_drained: bool,
    /// The outcome of the last exchange there.
    pub condition: Condition,
    /// Number of its workers.
    pub workers: usize,
    /// Number of workers busy with a request.
    pub busy: usize,
    /// Number of open WebSockets of the app.
    pub tunnels: usize,
    /// Number of times it was taken out of use because connecting failed or it did not respond.
    pub failures: usize,
}

impl Upstream {
    /// The counters of this app.
    #[must_use]
    pub(crate) fn metrics(&self) -> &AppMetrics {
        &self.metrics
    }

    /// The current load.
    #[must_use]
    pub(crate) fn load(&self) -> Load {
        self.queue.load()
    }

    /// Checks the reachability of all addresses at the same time: by the results of the last seconds, or otherwise by
    /// connecting once. True if any address can be reached.
    pub(crate) async fn is_reachable(&self) -> bool {
        let looks = self.backends.iter().cloned();
        let mut looks: Vec<_> = looks
            .map(|backend| Box::pin(async move { backend.is_reachable().await }))
            .collect();
        let mut is_reachable = false;
        poll_fn(|cx| {
            looks.retain_mut(|look| match look.as_mut().poll(cx) {
                Poll::Ready(reached) => {
                    is_reachable |= reached;
                    false
                }
                Poll::Pending => true,
            });
            if looks.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        is_reachable
    }

    /// The state of each address, in the order of the configuration.
    #[must_use]
    pub(crate) fn addresses(&self) -> Vec<AddressStatus> {
        let status = |backend: &Arc<Backend>| {
            let (workers, busy) = self.queue.load_of(backend);
            let shared = &backend.shared;
            AddressStatus {
                url: backend.url.clone(),
                is_open: backend.is_open(),
                is_drained: shared.availability.is(ClosedReason::Drained),
                condition: shared.watch.condition(),
                workers,
                busy,
                tunnels: shared.tunnels.load(Ordering::Relaxed),
                failures: shared.failures.load(Ordering::Relaxed),
            }
        };
        self.backends.iter().map(status).collect()
    }

    /// Returns the outcome of the last exchange, the time since which it has been the same, and the last error. For
    /// several addresses that is the best state among them, and the latest error of any.
    #[must_use]
    pub(crate) fn condition(&self) -> Condition {
        let all = self.backends.iter();
        let all = all.map(|backend| backend.shared.watch.condition());
        let mut all: Vec<Condition> = all.collect();
        let last_success = all.iter().filter_map(|one| one.last_success).max();
        let latest = all.iter().max_by_key(|one| one.last_error_at);
        let (last_error, last_error_at) = latest
            .map(|one| (one.last_error.clone(), one.last_error_at))
            .unwrap_or_default();
        all.sort_by_key(|one| (one.state != State::Up, one.state != State::Unknown));
        let best = all.first();
        Condition {
            state: best.map_or(State::Unknown, |best| best.state),
            state_since: best.and_then(|best| best.state_since),
            last_success,
            last_error,
            last_error_at,
        }
    }

    /// Counts the failure of an exchange.
    pub(super) fn count_failure(&self, error: Option<&UpstreamError>) {
        if let Some(error) = error {
            self.metrics.failed(failure(error));
        }
    }
}

/// The kind of failure as which an error is counted.
fn failure(error: &UpstreamError) -> Failure {
    match error {
        UpstreamError::QueueFull(_) => Failure::QueueFull,
        UpstreamError::QueueSlow(_) => Failure::QueueSlow,
        UpstreamError::Connect(_) | UpstreamError::Unhealthy(_) => Failure::Connect,
        UpstreamError::Slow(_) => Failure::Slow,
        UpstreamError::Broken(_) => Failure::Broken,
    }
}
