//! Metrics of channels: messages, deliveries and subscribers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::sync::lock;
use crate::telemetry::metrics::labels::{ChannelLabel, ReasonLabel};
use crate::telemetry::metrics::seconds;

/// The handles of all channels.
#[derive(Clone, Debug)]
pub struct Channels {
    /// Number of subscribers; a subscriber to two channels counts once.
    pub subscribers: Gauge,
    /// Number of open channels.
    pub open: Gauge,
    /// Number of subscribers by channel.
    pub channel_subscribers: Family<ChannelLabel, Gauge>,
    /// Number of messages in the history, by channel.
    pub kept: Family<ChannelLabel, Gauge>,
    /// 1 while messages of histories on disk are refused, because they cannot be written.
    pub disk_trouble: Gauge,
    messages: Family<ChannelLabel, Counter>,
    deliveries: Family<ChannelLabel, Counter>,
    delivery: Family<ChannelLabel, Histogram, fn() -> Histogram>,
    resets: Family<ReasonLabel, Counter>,
    refused: Family<ReasonLabel, Counter>,
    all: Arc<Mutex<HashMap<String, ChannelMetrics>>>,
}

/// The handles of one channel, or of all channels of a pattern.
#[derive(Clone, Debug)]
pub struct ChannelMetrics {
    /// Number of messages published.
    pub messages: Counter,
    /// Number of messages delivered, counted for each subscriber.
    pub deliveries: Counter,
    /// Time from publishing to delivery to a subscriber's transport.
    pub delivery: Histogram,
}

impl Channels {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let own = Self {
            delivery: Family::new_with_constructor(seconds as fn() -> Histogram),
            ..Self::default()
        };
        // A series that begins with its first event hides that event from every rate.
        for reason in ["expired", "restarted", "slow"] {
            let _ = own.resets.get_or_create(&ReasonLabel { reason });
        }
        for reason in ["full", "too-fast"] {
            let _ = own.refused.get_or_create(&ReasonLabel { reason });
        }
        registry.register(
            "channel_subscribers",
            "Subscribers of all channels together now",
            own.subscribers.clone(),
        );
        registry.register("channels", "Channels open now", own.open.clone());
        registry.register(
            "channel_subscriptions",
            "Subscriptions of the channel now",
            own.channel_subscribers.clone(),
        );
        registry.register(
            "channel_history_messages",
            "Messages in the history",
            own.kept.clone(),
        );
        registry.register(
            "channel_disk_trouble",
            "1 while messages of histories on disk are refused, because they cannot be written",
            own.disk_trouble.clone(),
        );
        registry.register(
            "channel_messages",
            "Messages published",
            own.messages.clone(),
        );
        registry.register(
            "channel_deliveries",
            "Messages passed to subscribers",
            own.deliveries.clone(),
        );
        registry.register_with_unit(
            "channel_delivery",
            "Time from publishing a message to passing it to a subscriber's transport",
            Unit::Seconds,
            own.delivery.clone(),
        );
        registry.register(
            "channel_resets",
            "Gaps reported to subscribers, by reason",
            own.resets.clone(),
        );
        registry.register(
            "channel_subscribers_refused",
            "Subscribers that were refused and may try again later, by reason",
            own.refused.clone(),
        );
        own
    }

    /// Returns the handles of a channel, by its name or pattern in the configuration.
    #[must_use]
    pub fn of(&self, rule: &str) -> ChannelMetrics {
        let label = ChannelLabel {
            channel: rule.to_owned(),
        };
        let own = ChannelMetrics {
            messages: self.messages.get_or_create_owned(&label),
            deliveries: self.deliveries.get_or_create_owned(&label),
            delivery: self.delivery.get_or_create_owned(&label),
        };
        let mut all = lock(&self.all);
        all.insert(rule.to_owned(), own.clone());
        own
    }

    /// Total number of deliveries.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        let all = lock(&self.all);
        all.values().map(|one| one.deliveries.get()).sum()
    }

    /// Counts a gap, or a subscriber that was disconnected for lag.
    pub fn reset(&self, reason: &'static str) {
        self.resets.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a refused subscription.
    pub fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }
}

/// Creates handles without a reader.
impl Default for Channels {
    fn default() -> Self {
        Self {
            subscribers: Gauge::default(),
            open: Gauge::default(),
            channel_subscribers: Family::default(),
            kept: Family::default(),
            disk_trouble: Gauge::default(),
            messages: Family::default(),
            deliveries: Family::default(),
            delivery: Family::new_with_constructor(seconds as fn() -> Histogram),
            resets: Family::default(),
            refused: Family::default(),
            all: Arc::default(),
        }
    }
}
