//! Metrics of the sources of channels, set when they are read. Must not know the sources themselves.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::telemetry::metrics::labels::SourceLabel;

/// The handles of sources.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    up: Family<SourceLabel, Gauge>,
    connections: Family<SourceLabel, Gauge>,
    messages: Family<SourceLabel, Counter>,
    bytes: Family<SourceLabel, Counter>,
    refused: Family<SourceLabel, Counter>,
    waiting: Family<SourceLabel, Gauge>,
    lag: Family<SourceLabel, Gauge<f64, AtomicU64>>,
}

/// State of one source.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// True if it is connected or listens.
    pub up: bool,
    /// Number of connections.
    pub connections: usize,
    /// Number of messages so far.
    pub messages: u64,
    /// Total bytes of their data.
    pub bytes: u64,
    /// Number of messages and connections refused.
    pub refused: u64,
    /// Number of messages that wait at the broker or in the table, if the source knows.
    pub waiting: Option<u64>,
    /// Age of the oldest of them in milliseconds, if the source knows.
    pub lag: Option<u64>,
}

impl Sources {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register(
            "source_up",
            "1 if the source is connected, or listens",
            own.up.clone(),
        );
        registry.register(
            "source_connections",
            "Connections of the source now",
            own.connections.clone(),
        );
        registry.register(
            "source_messages",
            "Messages of the source",
            own.messages.clone(),
        );
        registry.register_with_unit(
            "source",
            "Bytes of the source's messages",
            Unit::Bytes,
            own.bytes.clone(),
        );
        registry.register(
            "source_refused",
            "Messages and connections refused",
            own.refused.clone(),
        );
        registry.register(
            "source_waiting",
            "Messages that wait at the broker or in the table",
            own.waiting.clone(),
        );
        registry.register_with_unit(
            "source_lag",
            "Age of the oldest message in the table",
            Unit::Seconds,
            own.lag.clone(),
        );
        own
    }

    /// Removes all sources, because a reload may have removed some.
    pub fn clear(&self) {
        self.up.clear();
        self.connections.clear();
        self.messages.clear();
        self.bytes.clear();
        self.refused.clear();
        self.waiting.clear();
        self.lag.clear();
    }

    /// Sets all values of one source.
    pub fn set(&self, label: &SourceLabel, seen: Seen) {
        use std::sync::atomic::Ordering::Relaxed;
        self.up.get_or_create(label).set(i64::from(seen.up));
        let connections = i64::try_from(seen.connections).unwrap_or(i64::MAX);
        self.connections.get_or_create(label).set(connections);
        // Counted by the source itself; here its count is only shown.
        self.messages
            .get_or_create(label)
            .inner()
            .store(seen.messages, Relaxed);
        self.bytes
            .get_or_create(label)
            .inner()
            .store(seen.bytes, Relaxed);
        self.refused
            .get_or_create(label)
            .inner()
            .store(seen.refused, Relaxed);
        if let Some(waiting) = seen.waiting {
            let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
            self.waiting.get_or_create(label).set(waiting);
        }
        if let Some(lag) = seen.lag {
            let lag = Duration::from_millis(lag).as_secs_f64();
            self.lag.get_or_create(label).set(lag);
        }
    }
}
