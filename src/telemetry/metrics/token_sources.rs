//! Metrics of the sources of tokens in the network, set when they are read.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::telemetry::TokenSourceStatus;
use crate::telemetry::metrics::labels::{LookUpLabel, TokenSourceLabel};

/// The handles of sources of tokens.
#[derive(Clone, Debug, Default)]
pub struct TokenSources {
    up: Family<TokenSourceLabel, Gauge>,
    look_ups: Family<LookUpLabel, Counter>,
}

impl TokenSources {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register(
            "token_source_up",
            "0 while the last look-up at the source of tokens has failed",
            own.up.clone(),
        );
        registry.register(
            "token_source_look_ups",
            "Tokens that were looked up at the source, by result",
            own.look_ups.clone(),
        );
        own
    }

    /// Removes all sources, because a reload may have removed some.
    pub fn clear(&self) {
        self.up.clear();
        self.look_ups.clear();
    }

    /// Sets all values of one source.
    pub fn set(&self, status: &TokenSourceStatus) {
        let source = &status.source;
        let label = TokenSourceLabel {
            source: source.clone(),
        };
        self.up.get_or_create(&label).set(i64::from(status.up));
        for (result, count) in [
            ("known", status.known),
            ("unknown", status.unknown),
            ("failed", status.failed),
        ] {
            let label = LookUpLabel {
                source: source.clone(),
                result,
            };
            let counter = self.look_ups.get_or_create(&label);
            counter.inner().store(count, Relaxed);
        }
    }
}
