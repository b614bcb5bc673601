//! Metrics of tunnels: number, duration, bytes.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The kind of target of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// A console, over the bridge.
    Console,
    /// A WebSocket of an app.
    App,
    /// A subscription to channels.
    Channel,
}

impl TunnelKind {
    /// The name of the kind in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::App => "app",
            Self::Channel => "channel",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BytesLabel {
    kind: &'static str,
    direction: &'static str,
}

/// The handles for tunnels of one kind.
#[derive(Clone, Debug)]
pub struct OfKind {
    /// Number of open tunnels.
    pub open: Gauge,
    /// Number of tunnels opened so far.
    pub opened: Counter,
    /// Duration of tunnels.
    pub duration: Histogram,
    /// Bytes from clients.
    pub up: Counter,
    /// Bytes to clients.
    pub down: Counter,
}

/// The handles of tunnels.
#[derive(Clone, Debug)]
pub struct TunnelMetrics {
    console: OfKind,
    app: OfKind,
    channel: OfKind,
}

impl TunnelMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let open = Family::<KindLabel, Gauge>::default();
        let opened = Family::<KindLabel, Counter>::default();
        let bytes = Family::<BytesLabel, Counter>::default();
        let duration =
            Family::<KindLabel, Histogram, _>::new_with_constructor(lifetime as fn() -> Histogram);
        registry.register("tunnels", "Open tunnels, by kind of target", open.clone());
        registry.register("tunnels_opened", "Tunnels opened", opened.clone());
        registry.register_with_unit(
            "tunnel_duration",
            "Duration of tunnels that have ended",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register_with_unit(
            "tunnel",
            "Bytes through tunnels, up from clients and down to them",
            Unit::Bytes,
            bytes.clone(),
        );
        let of = |kind: TunnelKind| {
            let kind = kind.as_str();
            let label = KindLabel { kind };
            let bytes = |direction| bytes.get_or_create_owned(&BytesLabel { kind, direction });
            OfKind {
                open: open.get_or_create_owned(&label),
                opened: opened.get_or_create_owned(&label),
                duration: duration.get_or_create_owned(&label),
                up: bytes("up"),
                down: bytes("down"),
            }
        };
        Self {
            console: of(TunnelKind::Console),
            app: of(TunnelKind::App),
            channel: of(TunnelKind::Channel),
        }
    }

    /// The handles of one kind.
    #[must_use]
    pub fn of(&self, kind: TunnelKind) -> &OfKind {
        match kind {
            TunnelKind::Console => &self.console,
            TunnelKind::App => &self.app,
            TunnelKind::Channel => &self.channel,
        }
    }
}

/// A histogram from a second to a day, because consoles stay open for a working day.
fn lifetime() -> Histogram {
    Histogram::new([
        1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 28800.0, 86400.0,
    ])
}
