//! Metrics of the spool.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The figures of the spool, which counts by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spooled {
    /// Bytes on disk.
    pub disk: u64,
    /// Bytes in memory.
    pub memory: u64,
    /// Number of requests whose body went to disk, since the start.
    pub requests: u64,
    /// Number of responses that waited for their client, in memory or on disk, since the start.
    pub answers: u64,
}

/// The handles of the spool.
#[derive(Clone, Debug, Default)]
pub struct SpoolMetrics {
    disk: Gauge,
    memory: Gauge,
    requests: Counter,
    answers: Counter,
}

impl SpoolMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register_with_unit(
            "spool_disk",
            "Bodies on disk now: of requests until they are complete, and of responses until they are taken",
            Unit::Bytes,
            own.disk.clone(),
        );
        registry.register_with_unit(
            "spool_memory",
            "Responses in memory that their clients have not taken yet",
            Unit::Bytes,
            own.memory.clone(),
        );
        registry.register(
            "spool_requests",
            "Requests whose body went to disk",
            own.requests.clone(),
        );
        registry.register(
            "spool_answers",
            "Responses that were taken off the app faster than their clients took them",
            own.answers.clone(),
        );
        own
    }

    /// Sets all values.
    pub fn set(&self, seen: Spooled) {
        let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.disk.set(signed(seen.disk));
        self.memory.set(signed(seen.memory));
        self.requests.inner().store(seen.requests, Relaxed);
        self.answers.inner().store(seen.answers, Relaxed);
    }
}
