//! Views of the running server: its metrics, its status and its health; also closes connections.

use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::num::NonZeroU64;
use std::task::Poll;
use std::time::Instant;

use http::StatusCode;
use tracing::info;

use crate::acme::Renewer;
use crate::admin::addresses;
use crate::admin::consoles::close_console;
use crate::admin::status::{Certificate, Counted, Status};
use crate::admin::status_rows::{
    app_row, channel_row, cluster_row, console_row, source_row, subscription_row, token_source_row,
    tunnel_row,
};
use crate::bridge::Consoles;
use crate::clock;
use crate::cluster::{Cluster, ClusterStatus};
use crate::http::Refusal;
use crate::hub::Hub;
use crate::net::ConnectionPermits;
use crate::shutdown::Shutdown;
use crate::sources::Sources;
use crate::spool::SpoolUse;
use crate::telemetry::{
    self, AppLabel, ChannelLabel, Metrics, Seen, SourceLabel, StreamLabel, Telemetry,
    TokenSourceStatus,
};
use crate::upstream::Apps;

/// The parts of the server from which the status is made. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Channels and subscribers.
    pub hub: Hub,
    /// The cluster of this server, if it is a node of one.
    pub cluster: Option<Cluster>,
    /// Sources of their messages.
    pub sources: Sources,
    /// The apps of the configuration in force.
    pub apps: Apps,
    /// Serial consoles with several viewers.
    pub consoles: Consoles,
    /// Connection permits of the public listeners.
    pub connection_permits: ConnectionPermits,
    /// Bytes and files in the spool.
    pub spool: SpoolUse,
    /// Certificates of an ACME authority.
    pub acme: Renewer,
    /// Metrics and open tunnels.
    pub telemetry: std::sync::Arc<Telemetry>,
    /// The stop signal.
    pub shutdown: Shutdown,
    /// Time at which the server was created.
    pub started_at: Instant,
}

impl View {
    /// All metrics as text.
    pub(super) fn metrics(&self) -> String {
        self.telemetry.metrics.text(|metrics| {
            metrics
                .connections
                .open
                .set(signed(self.connection_permits.taken()));
            metrics
                .connections
                .limit
                .set(signed(self.connection_permits.limit()));
            self.observe_apps(metrics);
            metrics.spool.set(self.spool.figures());
            self.observe_channels(metrics);
            self.observe_sources(metrics);
            self.observe_token_sources(metrics);
            self.observe_cluster(metrics);
        })
    }

    fn observe_apps(&self, metrics: &Metrics) {
        let apps = &metrics.apps;
        for family in [&apps.workers, &apps.busy, &apps.waiting] {
            family.clear();
        }
        metrics.addresses.clear();
        for app in self.apps.now().iter() {
            let label = AppLabel {
                app: app.settings().name.clone(),
            };
            let load = app.load();
            apps.workers.get_or_create(&label).set(signed(load.workers));
            apps.busy.get_or_create(&label).set(signed(load.busy));
            apps.waiting.get_or_create(&label).set(signed(load.waiting));
            for address in app.addresses() {
                addresses::observe(&metrics.addresses, &label.app, &address);
            }
        }
    }

    /// Sets the metrics of channels. Channels of a pattern are summed up under the pattern.
    fn observe_channels(&self, metrics: &Metrics) {
        let channels = &metrics.channels;
        let overview = self.hub.overview();
        channels.subscribers.set(signed(overview.subscribers));
        channels.open.set(signed(overview.channels.len()));
        let trouble = self.hub.disk_trouble().is_some();
        channels.disk_trouble.set(i64::from(trouble));
        let mut sums: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for row in overview.channels {
            let sum = sums.entry(row.rule).or_default();
            sum.0 += row.subscribers;
            sum.1 += row.messages;
        }
        channels.channel_subscribers.clear();
        channels.kept.clear();
        for (channel, (subscribers, messages)) in sums {
            let label = ChannelLabel { channel };
            channels
                .channel_subscribers
                .get_or_create(&label)
                .set(signed(subscribers));
            channels.kept.get_or_create(&label).set(signed(messages));
        }
    }

    fn cluster_status(&self) -> Option<ClusterStatus> {
        self.cluster.as_ref().map(Cluster::status)
    }

    fn observe_cluster(&self, metrics: &Metrics) {
        if let Some(cluster) = self.cluster_status() {
            let label = StreamLabel {
                stream: cluster.stream,
                address: cluster.address,
            };
            let up = i64::from(cluster.since.is_some());
            metrics.cluster.set(&label, up, signed(cluster.waiting));
        }
    }

    fn token_sources(&self) -> Vec<TokenSourceStatus> {
        let sources = self.telemetry.token_sources.load();
        sources.iter().map(|source| source.status()).collect()
    }

    fn observe_token_sources(&self, metrics: &Metrics) {
        metrics.token_sources.clear();
        for source in self.token_sources() {
            metrics.token_sources.set(&source);
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
                waiting: status.waiting,
                lag: status.lag,
            };
            metrics.sources.set(&label, seen);
        }
    }

    /// The status. Lists of tunnels and subscriptions are limited to this many rows; counts are complete.
    pub(super) fn status(&self, rows: usize) -> Status {
        let hub = self.hub.overview();
        let (mut tunnels, mut subscriptions) =
            (self.telemetry.tunnels.now(), self.hub.subscriptions());
        let (tunnel_count, subscription_count) = (tunnels.len(), subscriptions.len());
        tunnels.truncate(rows);
        let mut consoles = self.consoles.list();
        consoles.truncate(rows);
        // The slowest are those that an operator wants to see.
        subscriptions.sort_by_key(|one| std::cmp::Reverse(one.behind));
        subscriptions.truncate(rows);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            since: clock::since(self.started_at),
            connections: Counted {
                open: self.connection_permits.taken() as u64,
                limit: self.connection_permits.limit() as u64,
            },
            memory: telemetry::resident_bytes(),
            descriptors: telemetry::descriptors().map(|(open, limit)| Counted {
                open: open.unsigned_abs(),
                limit: limit.unsigned_abs(),
            }),
            apps: self.apps.now().iter().map(|app| app_row(app)).collect(),
            tunnel_count,
            tunnels: tunnels.into_iter().map(tunnel_row).collect(),
            consoles: consoles.into_iter().map(console_row).collect(),
            subscribers: hub.subscribers,
            subscription_count,
            subscriptions: subscriptions.into_iter().map(subscription_row).collect(),
            newest: hub.newest,
            channels: hub.channels.into_iter().map(channel_row).collect(),
            sources: self.sources.status().into_iter().map(source_row).collect(),
            token_sources: self
                .token_sources()
                .into_iter()
                .map(token_source_row)
                .collect(),
            cluster: self.cluster_status().into_iter().map(cluster_row).collect(),
            certificates: self.certificates(),
        }
    }

    /// Certificates of an authority, followed by those in files.
    fn certificates(&self) -> Vec<Certificate> {
        let issued = self.acme.overview().into_iter();
        let issued = issued.map(|one| Certificate {
            name: one.name,
            expires: one.expires,
            next: Some(one.next),
            last_error: one.last_error,
        });
        let files = self.telemetry.certificates.load();
        let files = files.iter().map(|(file, expires)| Certificate {
            name: file.clone(),
            expires: Some(*expires),
            ..Certificate::default()
        });
        issued.chain(files).collect()
    }

    /// Checks in parallel whether the apps can be reached that no request has tried in the last seconds.
    pub(super) async fn probe_apps(&self) {
        let apps = self.apps.now();
        let looks = apps.iter().cloned();
        let mut looks: Vec<_> = looks
            .map(|app| Box::pin(async move { app.is_reachable().await }))
            .collect();
        poll_fn(|cx| {
            looks.retain_mut(|look| look.as_mut().poll(cx).is_pending());
            if looks.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Closes connections: `t7` is a tunnel, `c7` a shared console with all its viewers, `s7` a subscriber, `v7`
    /// everything of the session of a visitor, `user=ann` everything of one user. Returns a message for each.
    pub(super) fn close(&self, selector: &str) -> Result<Vec<String>, Refusal> {
        let mut pairs = form_urlencoded::parse(selector.as_bytes());
        if let Some((_, user)) = pairs.find(|(key, _)| key == "user") {
            let user = Some(&*user);
            return Ok(self.close_all(|of, _| of == user));
        }
        let (kind, number) = selector.split_at_checked(1).unwrap_or_default();
        let number: u64 = number.parse().map_err(|_| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "say what to close: t7 (a tunnel), c7 (a shared console), s7 (a subscriber), v7 (a session) or \
                 user=NAME; the numbers are in /status",
            )
        })?;
        if kind == "v" {
            let session = NonZeroU64::new(number);
            return Ok(self.close_all(|_, of| of.is_some() && of == session));
        }
        let closed = match kind {
            "t" => self.close_tunnel(number),
            "c" => close_console(self, number),
            "s" => self.close_subscription(number),
            _ => None,
        };
        let closed = closed.ok_or_else(|| Refusal::not_found(format!("{selector} is not open")))?;
        Ok(vec![closed])
    }

    fn close_tunnel(&self, number: u64) -> Option<String> {
        let tunnel = self.telemetry.tunnels.request_close(number)?;
        info!(
            tunnel = number,
            peer = tunnel.peer,
            target = tunnel.target,
            "an administrator closes a tunnel"
        );
        Some(format!("t{number} to {} of {}", tunnel.target, tunnel.peer))
    }

    fn close_subscription(&self, number: u64) -> Option<String> {
        let subscription = self.hub.request_end(number)?;
        let peer = subscription
            .peer
            .unwrap_or_else(|| "the admin socket".to_owned());
        info!(
            subscriber = number,
            peer, "an administrator closes a subscriber"
        );
        Some(format!("s{number} of {peer}"))
    }

    /// Closes all tunnels and subscribers of a user or a session.
    fn close_all(
        &self,
        is_meant: impl Fn(Option<&str>, Option<NonZeroU64>) -> bool,
    ) -> Vec<String> {
        let tunnels = self.telemetry.tunnels.now().into_iter();
        let tunnels = tunnels
            .filter(|one| is_meant(one.user.as_deref(), one.session))
            .map(|one| one.id);
        let subscriptions = self.hub.subscriptions().into_iter();
        let subscriptions = subscriptions
            .filter(|one| is_meant(one.user.as_deref(), one.session))
            .map(|one| one.id);
        tunnels
            .filter_map(|number| self.close_tunnel(number))
            .chain(subscriptions.filter_map(|number| self.close_subscription(number)))
            .collect()
    }

    /// Faults that mean the process is not alive; normally none.
    pub(super) fn health(&self) -> Vec<String> {
        let heartbeat = &self.telemetry.heartbeat;
        // Nothing beats any more once the server stops, which is no illness.
        if heartbeat.is_beating() || self.shutdown.has_begun() {
            return Vec::new();
        }
        let age = heartbeat.age().as_secs();
        vec![format!(
            "what happens every second has not happened for {age} seconds"
        )]
    }

    /// Faults that keep the server from serving: it is stopping, it is not alive, or an app cannot be reached.
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
                    settings.name, settings.urls
                ));
            }
        }
        if let Some(cluster) = self.cluster_status().filter(|cluster| !cluster.caught_up) {
            faults.push(format!(
                "the stream {} of the cluster at {} was not read yet: {}",
                cluster.stream,
                cluster.address,
                cluster.last_error.as_deref().unwrap_or("not yet connected")
            ));
        }
        faults
    }

    /// Sources that are down, a lost cluster, and a disk that accepts no messages, for an operator. The server serves
    /// without them. Other nodes could not use them either, so a load balancer that removed this node would gain
    /// nothing.
    pub(super) fn remarks(&self) -> Vec<String> {
        let cluster = self.cluster_status();
        let cluster = cluster.filter(|cluster| cluster.caught_up && cluster.since.is_none());
        let cluster = cluster.map(|cluster| {
            format!(
                "the stream {} of the cluster at {} is not connected: {}",
                cluster.stream,
                cluster.address,
                cluster.last_error.as_deref().unwrap_or("connecting again")
            )
        });
        let sources = self.sources.status().into_iter();
        let down = sources.filter(|source| source.since.is_none());
        let down = down.map(|source| {
            let why = source
                .last_error
                .unwrap_or_else(|| "not yet there".to_owned());
            format!(
                "the source of {} at {} is down: {why}",
                source.channel, source.address
            )
        });
        let tokens = self.token_sources().into_iter();
        let tokens = tokens.filter(|source| !source.up).map(|source| {
            let why = source.last_error.unwrap_or_default();
            format!("the tokens of {} cannot be looked up: {why}", source.source)
        });
        let disk = self.hub.disk_trouble().map(|reason| {
            format!("channels with their history on disk take no messages: {reason}")
        });
        down.chain(cluster).chain(tokens).chain(disk).collect()
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
