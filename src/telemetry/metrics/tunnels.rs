//! Tunnels: how many, for how long, how much.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// What a tunnel leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// A console, over the bridge.
    Console,
    /// A WebSocket of the app's own.
    App,
    /// A channel.
    Channel,
}

impl TunnelKind {
    /// The word for it.
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

/// The handles of tunnels of one kind.
#[derive(Clone, Debug)]
pub struct OfKind {
    /// Open now.
    pub open: Gauge,
    /// Opened so far.
    pub opened: Counter,
    /// How long they were open.
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
        registry.register(
            "tunnels",
            "Tunnels open now, by what they lead to",
            open.clone(),
        );
        registry.register("tunnels_opened", "Tunnels opened", opened.clone());
        registry.register_with_unit(
            "tunnel_duration",
            "How long tunnels were open that have ended",
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

    /// Those of one kind.
    #[must_use]
    pub fn of(&self, kind: TunnelKind) -> &OfKind {
        match kind {
            TunnelKind::Console => &self.console,
            TunnelKind::App => &self.app,
            TunnelKind::Channel => &self.channel,
        }
    }
}

/// From a second to a day: consoles stay open for a working day.
fn lifetime() -> Histogram {
    Histogram::new([
        1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 28800.0, 86400.0,
    ])
}
