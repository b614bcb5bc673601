//! Metrics, open tunnels and log limiters of a server: one value, made at the start and passed to all parts, so
//! that nothing is global.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::telemetry::{Heartbeat, LogLimiter, Metrics, TokenSourceCounts, Tunnels};

/// Telemetry of one server, shared by all its parts.
#[derive(Debug)]
pub struct Telemetry {
    /// Counters and timings.
    pub metrics: Metrics,
    /// The file of each certificate, and its end in milliseconds since 1970.
    pub certificates: ArcSwap<Vec<(String, u64)>>,
    /// Look-ups of the sources of tokens in the network, in the order of the configuration.
    pub token_sources: ArcSwap<Vec<Arc<TokenSourceCounts>>>,
    /// The open tunnels.
    pub tunnels: Tunnels,
    /// Heartbeat of the task that runs every second.
    pub heartbeat: Heartbeat,
    /// Limiter for lines about failed handshakes.
    pub failed_handshakes: LogLimiter,
    /// Limiter for lines about refused connections.
    pub refused_connections: LogLimiter,
    /// Limiter for lines about requests beyond the rate of their address.
    pub refused_requests: LogLimiter,
}

impl Telemetry {
    /// Creates the telemetry of a server that has not started yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let metrics = Metrics::new();
        Arc::new(Self {
            tunnels: Tunnels::new(metrics.tunnels.clone()),
            certificates: ArcSwap::default(),
            token_sources: ArcSwap::default(),
            metrics,
            heartbeat: Heartbeat::new(),
            failed_handshakes: LogLimiter::new(),
            refused_connections: LogLimiter::new(),
            refused_requests: LogLimiter::new(),
        })
    }
}
