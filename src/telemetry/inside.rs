//! What can be looked into while the server runs. One value, made at the start and handed down to whoever has
//! something to tell; nothing is global.

use std::sync::Arc;

use crate::telemetry::{Flood, Metrics, Pulse, Tunnels};

/// The insides of one server, shared by all its parts.
#[derive(Debug)]
pub struct Inside {
    /// What is counted and timed.
    pub metrics: Metrics,
    /// The tunnels that are open.
    pub tunnels: Tunnels,
    /// Whether the server still does what it does every second.
    pub pulse: Pulse,
    /// The lines of handshakes that failed.
    pub failed_handshakes: Flood,
    /// The lines of connections that were refused.
    pub refused_connections: Flood,
    /// Requests beyond what their address may ask.
    pub refused_requests: Flood,
}

impl Inside {
    /// Of a server that has done nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let metrics = Metrics::new();
        Arc::new(Self {
            tunnels: Tunnels::new(metrics.tunnels.clone()),
            metrics,
            pulse: Pulse::new(),
            failed_handshakes: Flood::new(),
            refused_connections: Flood::new(),
            refused_requests: Flood::new(),
        })
    }
}
