//! Metrics of apps: queueing time, response time and failures.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::telemetry::metrics::labels::AppLabel;
use crate::telemetry::metrics::seconds;

/// Reasons why an app has not responded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The queue was full.
    QueueFull,
    /// No worker became free in time.
    QueueSlow,
    /// The connection failed.
    Connect,
    /// The response did not begin in time.
    Slow,
    /// The response broke off.
    Broken,
}

/// The limits per address of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressLimited {
    /// Requests in a time.
    Rate,
    /// Requests in progress.
    InProgress,
}

/// Keys of the limits in the configuration.
const LIMITS: [&str; 2] = ["request-rate", "requests-per-address"];

const FAILURES: [&str; 5] = ["queue-full", "queue-slow", "connect", "slow", "broken"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabel {
    app: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    app: String,
    limit: &'static str,
}

/// The handles of all apps.
#[derive(Clone, Debug)]
pub struct Apps {
    /// Number of workers that handle a request.
    pub busy: Family<AppLabel, Gauge>,
    /// Number of workers.
    pub workers: Family<AppLabel, Gauge>,
    /// Number of requests that wait for a worker.
    pub waiting: Family<AppLabel, Gauge>,
    duration: Family<AppLabel, Histogram, fn() -> Histogram>,
    queue: Family<AppLabel, Histogram, fn() -> Histogram>,
    answer: Family<AppLabel, Histogram, fn() -> Histogram>,
    failures: Family<FailureLabel, Counter>,
    limited: Family<LimitLabel, Counter>,
}

/// The handles of one app.
#[derive(Clone, Debug)]
pub struct AppMetrics {
    duration: Histogram,
    queue: Histogram,
    answer: Histogram,
    failures: [Counter; 5],
    limited: [Counter; 2],
}

impl Apps {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let timed = || Family::new_with_constructor(seconds as fn() -> Histogram);
        let own = Self {
            busy: Family::default(),
            workers: Family::default(),
            waiting: Family::default(),
            duration: timed(),
            queue: timed(),
            answer: timed(),
            failures: Family::default(),
            limited: Family::default(),
        };
        registry.register_with_unit(
            "http_request_duration",
            "Time from the head of a request to the last byte of the response",
            Unit::Seconds,
            own.duration.clone(),
        );
        registry.register_with_unit(
            "app_queue_wait",
            "Time that requests waited for a worker of the app",
            Unit::Seconds,
            own.queue.clone(),
        );
        registry.register_with_unit(
            "app_response",
            "Time from getting a worker to the head of the app's response",
            Unit::Seconds,
            own.answer.clone(),
        );
        registry.register(
            "app_failures",
            "Requests to the app that failed, by reason",
            own.failures.clone(),
        );
        registry.register(
            "app_limited",
            "Requests refused because their address has reached a limit of the app, by its key",
            own.limited.clone(),
        );
        registry.register(
            "app_workers",
            "Workers of the app (app.workers)",
            own.workers.clone(),
        );
        registry.register(
            "app_workers_busy",
            "Workers busy with a request now",
            own.busy.clone(),
        );
        registry.register(
            "app_queue_length",
            "Requests that wait for a worker now",
            own.waiting.clone(),
        );
        own
    }

    /// Returns the handles of an app.
    #[must_use]
    pub fn of(&self, name: &str) -> AppMetrics {
        let label = AppLabel {
            app: name.to_owned(),
        };
        AppMetrics {
            duration: self.duration.get_or_create_owned(&label),
            queue: self.queue.get_or_create_owned(&label),
            answer: self.answer.get_or_create_owned(&label),
            failures: FAILURES.map(|reason| {
                let label = FailureLabel {
                    app: name.to_owned(),
                    reason,
                };
                self.failures.get_or_create_owned(&label)
            }),
            limited: LIMITS.map(|limit| {
                let label = LimitLabel {
                    app: name.to_owned(),
                    limit,
                };
                self.limited.get_or_create_owned(&label)
            }),
        }
    }
}

impl AppMetrics {
    /// Handles without a reader, for connections that do not carry an app's requests.
    #[must_use]
    pub fn unread() -> Self {
        Self {
            duration: seconds(),
            queue: seconds(),
            answer: seconds(),
            failures: Default::default(),
            limited: Default::default(),
        }
    }

    /// Counts a completed response.
    pub fn done(&self, after: Duration) {
        self.duration.observe(after.as_secs_f64());
    }

    /// Records the queueing time of a request that got its worker.
    pub fn waited(&self, for_so_long: Duration) {
        self.queue.observe(for_so_long.as_secs_f64());
    }

    /// Records the time until the head of the response.
    pub fn record_response(&self, after: Duration) {
        self.answer.observe(after.as_secs_f64());
    }

    /// Counts a request that a limit per address has refused.
    pub fn limited(&self, limit: AddressLimited) {
        if let Some(counter) = self.limited.get(limit as usize) {
            counter.inc();
        }
    }

    /// Number of requests that limits per address have refused.
    #[must_use]
    pub fn limited_count(&self) -> u64 {
        self.limited.iter().map(Counter::get).sum()
    }

    /// Counts a request without a response.
    pub fn failed(&self, failure: Failure) {
        if let Some(counter) = self.failures.get(failure as usize) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_own_word() {
        let metrics = crate::telemetry::Metrics::new();
        metrics.apps.of("wok").failed(Failure::Broken);
        metrics.apps.of("wok").failed(Failure::QueueFull);
        let text = metrics.text(|_| {});
        for (reason, count) in [
            ("queue-full", 1),
            ("queue-slow", 0),
            ("connect", 0),
            ("slow", 0),
            ("broken", 1),
        ] {
            let line =
                format!("noren_app_failures_total{{app=\"wok\",reason=\"{reason}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
