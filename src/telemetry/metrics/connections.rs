//! Metrics of connections and TLS handshakes, for all listeners.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::telemetry::metrics::labels::{FileLabel, ListenerLabel, ReasonLabel};
use crate::telemetry::metrics::seconds;

/// The handles of listeners and handshakes.
#[derive(Clone, Debug)]
pub struct Connections {
    /// Number of open connections.
    pub open: Gauge,
    /// Limit on connections.
    pub limit: Gauge,
    /// Number of accepted connections.
    pub accepted: Family<ListenerLabel, Counter>,
    /// Number of completed TLS handshakes.
    pub handshakes: Counter,
    /// Duration of handshakes.
    pub handshake_time: Histogram,
    /// Expiry of each certificate, in Unix seconds.
    pub certificates: Family<FileLabel, Gauge>,
    /// Number of certificates issued by an ACME authority.
    pub issued: Counter,
    /// Number of failed attempts to get one.
    pub not_issued: Counter,
    refused: Family<ReasonLabel, Counter>,
    failed: Family<ReasonLabel, Counter>,
}

impl Connections {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let own = Self {
            open: Gauge::default(),
            limit: Gauge::default(),
            accepted: Family::default(),
            handshakes: Counter::default(),
            handshake_time: seconds(),
            certificates: Family::default(),
            issued: Counter::default(),
            not_issued: Counter::default(),
            refused: Family::default(),
            failed: Family::default(),
        };
        // A series that begins with its first event hides that event from every rate.
        for reason in ["slow", "not-tls", "closed", "failed"] {
            let _ = own.failed.get_or_create(&ReasonLabel { reason });
        }
        let reason = "connections-per-address";
        let _ = own.refused.get_or_create(&ReasonLabel { reason });
        registry.register("connections", "Connections open now", own.open.clone());
        registry.register(
            "connections_limit",
            "Limit on open connections",
            own.limit.clone(),
        );
        registry.register(
            "connections_accepted",
            "Connections accepted",
            own.accepted.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections closed before a byte was read, by reason",
            own.refused.clone(),
        );
        registry.register(
            "tls_handshakes",
            "TLS handshakes completed",
            own.handshakes.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that were not completed, by reason",
            own.failed.clone(),
        );
        registry.register_with_unit(
            "tls_handshake_duration",
            "Time from accepting a connection to the end of its TLS handshake",
            Unit::Seconds,
            own.handshake_time.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            "Expiry of the certificate, in seconds since 1970",
            Unit::Seconds,
            own.certificates.clone(),
        );
        registry.register(
            "acme_certificates",
            "Certificates that the authority of [acme] has issued",
            own.issued.clone(),
        );
        registry.register(
            "acme_failures",
            "Attempts to get a certificate from the authority of [acme] that failed",
            own.not_issued.clone(),
        );
        own
    }

    /// Counts a connection that was closed before anything was read from it.
    pub fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a failed TLS handshake.
    pub fn fail(&self, reason: &'static str) {
        self.failed.get_or_create(&ReasonLabel { reason }).inc();
    }
}
