//! Metrics of the cluster, set when they are read; a server that is no node of one has none.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::labels::StreamLabel;

/// The handles of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    up: Family<StreamLabel, Gauge>,
    waiting: Family<StreamLabel, Gauge>,
}

impl Cluster {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register(
            "cluster_up",
            "1 if the node is connected to the stream of the cluster and has read it",
            own.up.clone(),
        );
        registry.register(
            "cluster_waiting",
            "Messages of the node that have not come back in the stream yet",
            own.waiting.clone(),
        );
        own
    }

    /// Sets all values.
    pub fn set(&self, label: &StreamLabel, up: i64, waiting: i64) {
        self.up.get_or_create(label).set(up);
        self.waiting.get_or_create(label).set(waiting);
    }
}
