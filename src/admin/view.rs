//! What can be seen of the running server from here: its metrics, and whether it is well.

use std::collections::BTreeMap;

use crate::hub::{Hub, Sources};
use crate::net::Slots;
use crate::shutdown::Shutdown;
use crate::telemetry::{AppLabel, ChannelLabel, Inside, Metrics, Seen, SourceLabel};
use crate::upstream::Apps;

/// The parts that can be looked into. Clones look at the same ones.
#[derive(Clone, Debug)]
pub struct View {
    /// Channels and who listens.
    pub hub: Hub,
    /// Where their messages come from.
    pub sources: Sources,
    /// The apps of the configuration in force.
    pub apps: Apps,
    /// The places for connections of the public listeners.
    pub slots: Slots,
    /// What is counted, and which tunnels are open.
    pub inside: std::sync::Arc<Inside>,
    /// The stop signal.
    pub shutdown: Shutdown,
}

impl View {
    /// The text of all metrics.
    pub(super) fn metrics(&self) -> String {
        self.inside.metrics.text(|metrics| {
            metrics.connections.open.set(signed(self.slots.taken()));
            metrics.connections.limit.set(signed(self.slots.limit()));
            self.observe_apps(metrics);
            self.observe_channels(metrics);
            self.observe_sources(metrics);
        })
    }

    fn observe_apps(&self, metrics: &Metrics) {
        let apps = &metrics.apps;
        for family in [&apps.workers, &apps.busy, &apps.waiting] {
            family.clear();
        }
        for app in self.apps.now().iter() {
            let label = AppLabel {
                app: app.settings().name.clone(),
            };
            let load = app.load();
            apps.workers.get_or_create(&label).set(signed(load.workers));
            apps.busy.get_or_create(&label).set(signed(load.busy));
            apps.waiting.get_or_create(&label).set(signed(load.waiting));
        }
    }

    /// Channels of a pattern are counted together, under the pattern.
    fn observe_channels(&self, metrics: &Metrics) {
        let channels = &metrics.channels;
        let overview = self.hub.overview();
        channels.subscribers.set(signed(overview.subscribers));
        channels.open.set(signed(overview.channels.len()));
        let mut sums: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for row in overview.channels {
            let sum = sums.entry(row.rule).or_default();
            sum.0 += row.listeners;
            sum.1 += row.messages;
        }
        channels.listeners.clear();
        channels.kept.clear();
        for (channel, (listeners, messages)) in sums {
            let label = ChannelLabel { channel };
            channels
                .listeners
                .get_or_create(&label)
                .set(signed(listeners));
            channels.kept.get_or_create(&label).set(signed(messages));
        }
    }

    fn observe_sources(&self, metrics: &Metrics) {
        metrics.sources.clear();
        for status in self.sources.status() {
            let label = SourceLabel {
                channel: status.channel.to_string(),
                kind: status.kind,
                address: status.address,
            };
            let seen = Seen {
                up: status.since.is_some(),
                connections: status.connections,
                messages: status.messages,
                bytes: status.bytes,
                refused: status.refused,
            };
            metrics.sources.set(&label, seen);
        }
    }

    /// What keeps the process from being alive: nothing, as a rule.
    pub(super) fn health(&self) -> Vec<String> {
        let pulse = &self.inside.pulse;
        // Nothing beats any more once the server stops, which is no illness.
        if pulse.is_beating() || self.shutdown.has_begun() {
            return Vec::new();
        }
        let age = pulse.age().as_secs();
        vec![format!(
            "what happens every second has not happened for {age} seconds"
        )]
    }

    /// What keeps it from serving: it stops, it is not alive, or an app cannot be reached.
    pub(super) async fn readiness(&self) -> Vec<String> {
        let mut faults = self.health();
        if self.shutdown.has_begun() {
            faults.push("Noren is stopping".to_owned());
        }
        for app in self.apps.now().iter() {
            if !app.is_reachable().await {
                let settings = app.settings();
                faults.push(format!(
                    "app {} cannot be reached at {}",
                    settings.name, settings.url
                ));
            }
        }
        faults
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
