//! Rows of the [status](super::status), each made from one part of the server.

use std::num::NonZeroU64;

use crate::admin::status::{
    Address, App, Channel, Cluster, Condition, Console, Rfb, Source, Subscription, TokenSource,
    Tunnel, Viewer,
};
use crate::bridge::OpenConsole;
use crate::cluster::ClusterStatus;
use crate::hub::{ChannelOverview, SubscriptionOverview};
use crate::sources::SourceStatus;
use crate::telemetry::{OpenTunnel, TokenSourceStatus};
use crate::upstream::{self, AddressStatus, Upstream};

/// The row of an app.
pub(super) fn app_row(app: &Upstream) -> App {
    let (settings, load) = (app.settings(), app.load());
    App {
        name: settings.name.clone(),
        url: settings.urls.to_string(),
        condition: condition(app.condition()),
        workers: load.workers,
        busy: load.busy,
        waiting: load.waiting,
        queue: settings.queue,
        limited: settings
            .request_limits
            .are_any()
            .then(|| app.metrics().limited_count()),
        addresses: app.addresses().into_iter().map(address_row).collect(),
    }
}

fn address_row(status: AddressStatus) -> Address {
    Address {
        address: status.url.to_string(),
        open: status.is_open,
        drained: status.is_drained,
        condition: condition(status.condition),
        workers: status.workers,
        busy: status.busy,
        tunnels: status.tunnels,
        failures: status.failures,
    }
}

fn condition(condition: upstream::Condition) -> Condition {
    Condition {
        state: condition.state.as_str().to_owned(),
        state_since: condition.state_since,
        last_success: condition.last_success,
        last_error: condition.last_error,
        last_error_at: condition.last_error_at,
    }
}

/// The row of a source of tokens.
pub(super) fn token_source_row(status: TokenSourceStatus) -> TokenSource {
    TokenSource {
        source: status.source,
        condition: Condition {
            state: if status.up { "up" } else { "down" }.to_owned(),
            state_since: None,
            last_success: status.last_success,
            last_error: status.last_error,
            last_error_at: status.last_error_at,
        },
        known: status.known,
        unknown: status.unknown,
        failed: status.failed,
    }
}

/// The row of a tunnel.
pub(super) fn tunnel_row(tunnel: OpenTunnel) -> Tunnel {
    Tunnel {
        id: tunnel.id,
        kind: tunnel.kind.to_owned(),
        target: tunnel.target,
        peer: tunnel.peer,
        user: tunnel.user,
        session: tunnel.session.map(NonZeroU64::get),
        subprotocol: tunnel.subprotocol.map(Into::into),
        rfb: tunnel.rfb.map(|rfb| Rfb {
            security: rfb.security.to_owned(),
            view_only: rfb.view_only,
        }),
        shared: tunnel.shared.map(|viewer| Viewer {
            view_only: viewer.view_only,
            types: viewer.types,
            missed: viewer.missed,
            viewers: viewer.viewers,
        }),
        since: tunnel.since,
        up: tunnel.up,
        down: tunnel.down,
    }
}

/// The row of a shared console.
pub(super) fn console_row(console: OpenConsole) -> Console {
    Console {
        id: console.id,
        target: console.target,
        viewers: console.viewers,
        typing: console.typing.to_owned(),
        typist: console.typist,
        typist_user: console.typist_user.map(Into::into),
        connected: console.connected,
        since: console.since,
        received: console.received,
        kept: console.kept,
    }
}

/// The row of a subscription.
pub(super) fn subscription_row(subscription: SubscriptionOverview) -> Subscription {
    Subscription {
        id: subscription.id,
        channels: subscription.channels,
        transport: subscription.transport.to_owned(),
        peer: subscription.peer,
        user: subscription.user,
        session: subscription.session.map(NonZeroU64::get),
        since: subscription.since,
        behind: subscription.behind,
    }
}

/// The row of a channel.
pub(super) fn channel_row(channel: ChannelOverview) -> Channel {
    Channel {
        name: channel.name,
        messages: channel.messages,
        subscribers: channel.subscribers,
        trouble: channel.trouble,
    }
}

/// The row of a source.
pub(super) fn source_row(source: SourceStatus) -> Source {
    Source {
        channel: source.channel.to_string(),
        kind: source.kind.to_owned(),
        address: source.address,
        since: source.since,
        connections: source.connections,
        messages: source.messages,
        bytes: source.bytes,
        refused: source.refused,
        repeated: source.repeated,
        waiting: source.waiting,
        lag: source.lag,
        last_error: source.last_error,
    }
}

/// The row of the cluster.
pub(super) fn cluster_row(cluster: ClusterStatus) -> Cluster {
    Cluster {
        stream: cluster.stream,
        address: cluster.address,
        since: cluster.since,
        caught_up: cluster.caught_up,
        waiting: cluster.waiting,
        last_error: cluster.last_error,
    }
}
