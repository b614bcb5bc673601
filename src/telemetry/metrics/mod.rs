//! Metrics as `OpenMetrics` text for Prometheus.
//!
//! Each part of the server has a group of handles, looked up once. Every label is a constant of this program or a
//! name of the configuration, so no client can create a series. Values that other parts count anyway (connections,
//! queues, channels, sources) are set right before the text is written, by the caller of [`Metrics::text`].
//! Independent of the requests.

mod addresses;
mod apps;
mod channels;
mod cluster;
mod connections;
mod labels;
mod process;
mod requests;
mod sources;
mod spool;
mod token_sources;
mod tunnels;

use std::sync::Mutex;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::sync::lock;

pub use addresses::{AddressState, Addresses};
pub use apps::{AddressLimited, AppMetrics, Apps, Failure};
pub use channels::{ChannelMetrics, Channels};
pub(super) use cluster::Cluster;
pub use connections::Connections;
pub use labels::{
    AddressLabel, AppLabel, ChannelLabel, FileLabel, ListenerLabel, ReasonLabel, SourceLabel,
    StreamLabel,
};
pub use process::{descriptors, resident_bytes};
pub use requests::{Classes, Handler, Requests};
pub use sources::{Seen, Sources};
pub use spool::{SpoolMetrics, Spooled};
pub(super) use token_sources::TokenSources;
pub use tunnels::{OfKind, TunnelKind, TunnelMetrics};

/// Media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a server.
#[derive(Debug)]
pub struct Metrics {
    /// Listeners and handshakes.
    pub connections: Connections,
    /// Requests, by handler.
    pub requests: Requests,
    /// The apps: queues and responses.
    pub apps: Apps,
    /// The addresses of the apps.
    pub addresses: Addresses,
    /// The spool.
    pub spool: SpoolMetrics,
    /// Tunnels of the bridge, of apps and of channels.
    pub tunnels: TunnelMetrics,
    /// Channels and subscribers.
    pub channels: Channels,
    /// Sources of messages.
    pub sources: Sources,
    /// Sources of tokens in the network.
    pub token_sources: TokenSources,
    /// The cluster, if the server is a node of one.
    pub cluster: Cluster,
    registry: Registry,
    /// Locked while values are set and the text is written, so that concurrent readers cannot mix.
    reading: Mutex<()>,
}

impl Metrics {
    /// Creates metrics that are all zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        process::register(&mut registry);
        let own = registry.sub_registry_with_prefix("noren");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        own.register("build", "The version that runs", version);
        Self {
            connections: Connections::register(own),
            requests: Requests::register(own),
            apps: Apps::register(own),
            addresses: Addresses::register(own),
            spool: SpoolMetrics::register(own),
            tunnels: TunnelMetrics::register(own),
            channels: Channels::register(own),
            sources: Sources::register(own),
            token_sources: TokenSources::register(own),
            cluster: Cluster::register(own),
            registry,
            reading: Mutex::default(),
        }
    }

    /// Writes all metrics as text. `observe` sets the values that are counted elsewhere.
    #[must_use]
    pub fn text(&self, observe: impl FnOnce(&Self)) -> String {
        let _reading = lock(&self.reading);
        observe(self);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A histogram from a millisecond to ten minutes, the default time limit of an app.
fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        300.0, 600.0,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_ends_as_openmetrics_does_and_tells_the_version() {
        let text = Metrics::new().text(|_| {});
        assert!(text.ends_with("# EOF\n"), "{text}");
        let build = concat!(
            "noren_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1\n"
        );
        assert!(text.contains(build), "{text}");
    }

    #[test]
    fn what_is_observed_is_in_the_text() {
        let text = Metrics::new().text(|metrics| {
            metrics.connections.open.set(7);
        });
        assert!(text.contains("\nnoren_connections 7\n"), "{text}");
    }
}
