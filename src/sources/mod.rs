//! Sources of messages beside HTTP: the `[[channel.source]]` tables of the configuration.
//!
//! Opens all sockets before anything runs, so that errors are reported at the start, and a reload takes all new
//! sources or none. A reload does not touch an unchanged source. Sources only publish; they do not know
//! subscribers.

mod amqp;
mod content;
mod json;
mod listen;
mod postgres;
mod rejected;
mod retry;
mod sink;
mod splitter;
mod users;
mod webhook;
mod wok;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::amqp::Broker;
use crate::config::{self, ChannelPattern, Config, Framing};
use crate::faults::Faults;
use crate::hub::Hub;
use crate::net::look_at_unix;
use crate::shutdown::Shutdown;
use crate::sync::lock;
use crate::text::Reason;

pub use sink::Status;
pub use webhook::{Delivery, Unbelieved, Webhook, WebhookFault};

use listen::{PublishSocket, Rules};
use postgres::Database;
use sink::Sink;
use webhook::Gate;

/// Size of a read.
const CHUNK: usize = 16 * 1024;

/// The running sources of a hub. Clones share them; dropping the last one stops them, as a shutdown does.
#[derive(Clone)]
pub struct Sources(Arc<Shared>);

struct Shared {
    hub: Hub,
    shutdown: Shutdown,
    running: Mutex<Vec<Running>>,
    /// The webhooks among them, by their paths.
    webhooks: ArcSwap<HashMap<String, Webhook>>,
}

/// A source with its task, which ends when this is dropped.
struct Running {
    source: Source,
    outlet: Arc<Sink>,
    /// The socket. The task owns it, so that it is closed and its file is removed when the task ends.
    door: Weak<PublishSocket>,
    /// The secrets of a webhook.
    gate: Option<Arc<Gate>>,
    /// A token that the task owns while it runs.
    work: Weak<()>,
    _stop: DropGuard,
}

/// The settings that identify a source: two sources with equal settings are the same.
#[derive(Clone, PartialEq, Eq)]
struct Source {
    channel: ChannelPattern,
    origin: Origin,
}

#[derive(Clone, PartialEq, Eq)]
enum Origin {
    Wok {
        address: PathBuf,
        boundary: String,
    },
    Listen {
        listen: config::Listen,
        rules: Rules,
    },
    Amqp(Box<config::AmqpSource>),
    Postgres {
        settings: Box<config::PostgresSource>,
        /// The stream of the cluster, one of whose nodes has the notifications.
        cluster: Option<String>,
    },
    Webhook(Box<config::WebhookSource>),
}

/// Sources of a configuration with open sockets that are not running yet: see [`Sources::commit`].
#[must_use]
pub struct SourcesPlan(Vec<(Source, Way)>);

/// The resource that a source has opened before it runs.
#[derive(Clone)]
enum Way {
    /// No resource: the source connects to an app once it is reachable.
    None,
    PublishSocket(Arc<PublishSocket>),
    Broker(Box<Broker>),
    Database(Box<Database>),
    Gate(Arc<Gate>),
}

/// Failure to open the sources of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel {channel}: source {address}: {reason}")]
pub struct SourceError {
    channel: ChannelPattern,
    address: String,
    reason: Reason,
}

impl SourceError {
    fn new(channel: &config::Channel, source: &config::Source, reason: Reason) -> Self {
        Self {
            channel: channel.name.clone(),
            address: address(source),
            reason,
        }
    }

    /// The file, if this user may not use it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        self.reason.denied()
    }
}

/// Checks that the sources of a configuration can be opened. Opens none of them.
///
/// # Errors
/// A [`SourceError`] for each that cannot be.
pub fn look(config: &Config) -> Result<(), Faults<SourceError>> {
    let sources = config.channels.iter().flat_map(|channel| {
        let sources = channel.sources.iter();
        sources.map(move |source| (channel, source))
    });
    let looked = sources.map(|(channel, source)| {
        Source::new(config, channel, source)
            .and_then(|source| match &source.origin {
                Origin::Wok { .. } => Ok(()),
                Origin::Listen { listen, .. } => look_at_unix(&listen.address),
                Origin::Amqp(settings) => Ok(Broker::new(&settings.broker).map(drop)?),
                Origin::Postgres { settings, .. } => Database::new(&settings.server).map(drop),
                Origin::Webhook(settings) => Gate::new(settings).map(drop),
            })
            .map_err(|reason| SourceError::new(channel, source, reason))
    });
    Faults::gather(looked).map(drop)
}

impl Sources {
    /// Opens the sources of a configuration and runs them. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`SourceError`] names the channel, the socket and the reason; nothing runs then.
    pub fn start(hub: &Hub, config: &Config, shutdown: &Shutdown) -> Result<Self, SourceError> {
        let sources = Self(Arc::new(Shared {
            hub: hub.clone(),
            shutdown: shutdown.clone(),
            running: Mutex::default(),
            webhooks: ArcSwap::default(),
        }));
        sources.reload(config)?;
        Ok(sources)
    }

    /// Replaces the sources by those of another configuration: unchanged ones go on, others stop, new ones start.
    /// Combines [`plan`](Self::plan) and [`commit`](Self::commit).
    ///
    /// # Errors
    /// [`SourceError`] as for [`plan`](Self::plan); nothing has changed then.
    pub fn reload(&self, config: &Config) -> Result<(), SourceError> {
        self.plan(config).map(|plan| self.commit(plan))
    }

    /// Opens the sockets that another configuration needs in addition, without any other effect; dropping the plan
    /// closes them.
    ///
    /// # Errors
    /// A [`SourceError`] names the channel, the socket and the reason.
    pub fn plan(&self, config: &Config) -> Result<SourcesPlan, SourceError> {
        let mut opened = Vec::new();
        let doors = self.doors();
        for channel in &config.channels {
            for source in &channel.sources {
                let failed = |reason| SourceError::new(channel, source, reason);
                let source = Source::new(config, channel, source).map_err(failed)?;
                let way = way(&source, &doors).map_err(failed)?;
                opened.push((source, way));
            }
        }
        Ok(SourcesPlan(opened))
    }

    /// Runs the planned sources, and stops those that are not in the plan.
    pub fn commit(&self, plan: SourcesPlan) {
        let mut running = lock(&self.0.running);
        // By channel, so that a file of many channels is gone through once.
        let mut before: HashMap<ChannelPattern, Vec<Running>> = HashMap::new();
        for old in running.drain(..) {
            let channel = before.entry(old.source.channel.clone()).or_default();
            channel.push(old);
        }
        for (source, way) in plan.0 {
            let same = before.get_mut(&source.channel).and_then(|channel| {
                let index = channel.iter().position(|old| old.source == source)?;
                Some(channel.swap_remove(index))
            });
            running.push(match same {
                Some(same) => {
                    if let (Some(gate), Way::Gate(read)) = (&same.gate, &way) {
                        gate.renew(read);
                    }
                    same
                }
                None => self.run(source, way),
            });
        }
        let webhooks = running.iter().filter_map(Running::webhook);
        self.0.webhooks.store(Arc::new(webhooks.collect()));
    }

    /// The webhook that comes to this path, if its source runs.
    #[must_use]
    pub fn webhook(&self, path: &str) -> Option<Webhook> {
        self.0.webhooks.load().get(path).cloned()
    }

    /// Stops all sources and waits at most `limit` until they have ended and their sockets are closed; returns
    /// false if they have not. Blocks. Messages from a broker are acknowledged or returned by then, so that the
    /// next consumer of the queue gets the rest in order. A [`reload`](Self::reload) starts the sources again.
    pub fn pause(&self, limit: Duration) -> bool {
        self.0.webhooks.store(Arc::default());
        let running = lock(&self.0.running).split_off(0);
        let parts = |source: &Running| (source.door.clone(), source.work.clone());
        let parts: Vec<_> = running.iter().map(parts).collect();
        drop(running);
        let holds = |(door, work): &(Weak<PublishSocket>, Weak<()>)| {
            door.strong_count() > 0 || work.strong_count() > 0
        };
        let begun = Instant::now();
        while parts.iter().any(holds) {
            if begun.elapsed() > limit {
                return false;
            }
            pause_briefly();
        }
        true
    }

    /// Status of each source, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        let running = lock(&self.0.running);
        running
            .iter()
            .map(|source| source.outlet.status())
            .collect()
    }

    /// The open sockets, by address.
    fn doors(&self) -> HashMap<PathBuf, Arc<PublishSocket>> {
        let running = lock(&self.0.running);
        let doors = running.iter().filter_map(|running| {
            let address = running.source.listens_on()?.to_owned();
            Some((address, running.door.upgrade()?))
        });
        doors.collect()
    }

    fn run(&self, source: Source, way: Way) -> Running {
        let stop = Stop {
            shutdown: self.0.shutdown.clone(),
            token: CancellationToken::new(),
        };
        let outlet = Arc::new(source.outlet(&self.0.hub));
        let work = Arc::new(());
        let running = Running {
            source: source.clone(),
            outlet: Arc::clone(&outlet),
            door: match &way {
                Way::PublishSocket(door) => {
                    door.keep();
                    Arc::downgrade(door)
                }
                Way::None | Way::Broker(_) | Way::Database(_) | Way::Gate(_) => Weak::new(),
            },
            gate: match &way {
                Way::Gate(gate) => Some(Arc::clone(gate)),
                _ => None,
            },
            work: Arc::downgrade(&work),
            _stop: stop.token.clone().drop_guard(),
        };
        let own_stop = stop.clone();
        stop.spawn(async move {
            source.work(&outlet, way, &own_stop).await;
            outlet.set_down();
            drop(work);
        });
        running
    }
}

impl Running {
    /// The webhook, with its path, if it is one.
    fn webhook(&self) -> Option<(String, Webhook)> {
        let Origin::Webhook(settings) = &self.source.origin else {
            return None;
        };
        let gate = Arc::clone(self.gate.as_ref()?);
        let webhook = Webhook::new(gate, Arc::clone(&self.outlet));
        Some((settings.path.decoded().to_owned(), webhook))
    }
}

/// Opens the resource that a source needs to run. `doors` are the sockets that are open already.
fn way(source: &Source, doors: &HashMap<PathBuf, Arc<PublishSocket>>) -> Result<Way, Reason> {
    match &source.origin {
        Origin::Wok { .. } => Ok(Way::None),
        Origin::Listen { listen, .. } => door(listen, doors).map(Way::PublishSocket),
        Origin::Amqp(settings) => {
            let broker = Broker::new(&settings.broker)?;
            Ok(Way::Broker(Box::new(broker)))
        }
        Origin::Postgres { settings, .. } => {
            let database = Database::new(&settings.server)?;
            Ok(Way::Database(Box::new(database)))
        }
        Origin::Webhook(settings) => Ok(Way::Gate(Arc::new(Gate::new(settings)?))),
    }
}

/// Opens the socket of a listening source. An open one is reused if only the rules for reading have changed, so
/// that programs that connect meanwhile are not refused.
fn door(
    listen: &config::Listen,
    doors: &HashMap<PathBuf, Arc<PublishSocket>>,
) -> Result<Arc<PublishSocket>, Reason> {
    match doors.get(&listen.address) {
        Some(door) if door.is_datagram() != listen.datagram => Err(
            "the `type` of a socket cannot be changed by a reload; restart Noren for that".into(),
        ),
        Some(door) => Ok(Arc::clone(door)),
        None => PublishSocket::open(listen).map(Arc::new),
    }
}

impl Source {
    fn new(
        config: &Config,
        channel: &config::Channel,
        source: &config::Source,
    ) -> Result<Self, Reason> {
        let boundary = &channel.boundary;
        let origin = match source {
            config::Source::Wok { address } => Origin::Wok {
                address: address.clone(),
                boundary: boundary.clone(),
            },
            config::Source::Amqp(settings) => Origin::Amqp(settings.clone()),
            config::Source::Postgres(settings) => Origin::Postgres {
                settings: settings.clone(),
                cluster: config.cluster.as_ref().map(|one| one.stream.clone()),
            },
            config::Source::Webhook(settings) => Origin::Webhook(settings.clone()),
            config::Source::Listen(listen) => Origin::Listen {
                rules: Rules {
                    framing: listen.framing,
                    // The boundary matters only for framing by boundary; otherwise a different one is not a
                    // different source.
                    boundary: match listen.framing {
                        Framing::Boundary => boundary.clone(),
                        Framing::Lines | Framing::Json => String::new(),
                    },
                    users: users::numbers(&listen.users)?,
                },
                listen: listen.clone(),
            },
        };
        Ok(Self {
            channel: channel.name.clone(),
            origin,
        })
    }

    fn listens_on(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Listen { listen, .. } => Some(&listen.address),
            Origin::Wok { .. } | Origin::Amqp(_) | Origin::Postgres { .. } | Origin::Webhook(_) => {
                None
            }
        }
    }

    fn outlet(&self, hub: &Hub) -> Sink {
        let (kind, address) = match &self.origin {
            Origin::Wok { address, .. } => ("wok", unix(address)),
            Origin::Listen { listen, .. } => ("listen", unix(&listen.address)),
            Origin::Amqp(settings) => ("amqp", exchange(settings)),
            Origin::Postgres { settings, .. } => ("postgres", settings.to_string()),
            Origin::Webhook(settings) => ("webhook", settings.path.as_str().to_owned()),
        };
        Sink::new(hub.clone(), self.channel.clone(), kind, address)
    }

    /// Runs the source until it is stopped.
    async fn work(self, outlet: &Arc<Sink>, way: Way, stop: &Stop) {
        match (self.origin, way) {
            (Origin::Wok { address, boundary }, _) => {
                wok::follow(outlet, &address, &boundary, stop).await;
            }
            (Origin::Listen { listen, rules }, Way::PublishSocket(door)) => {
                // A socket that was there before has the mode it had.
                if let Err(reason) = door.set_mode(listen.mode) {
                    warn!(
                        channel = %self.channel,
                        address = outlet.address(),
                        %reason,
                        "a source's socket keeps its old mode",
                    );
                }
                // It ends by itself, when it has read what was written before.
                listen::serve(&door, outlet, rules, stop).await;
            }
            (Origin::Amqp(settings), Way::Broker(broker)) => {
                // It ends by itself, with a goodbye to the broker.
                amqp::follow(outlet, &broker, &settings, stop).await;
            }
            (Origin::Postgres { settings, cluster }, Way::Database(database)) => {
                // It ends by itself, when what it has published is deleted from its table.
                let cluster = cluster.as_deref();
                postgres::follow(outlet, &database, &settings, cluster, stop).await;
            }
            (Origin::Webhook(_), _) => {
                // The service hands requests over; there is nothing to wait for.
                outlet.set_up();
                stop.requested().await;
            }
            (Origin::Listen { .. } | Origin::Amqp(_) | Origin::Postgres { .. }, _) => {}
        }
    }
}

/// The address of a source in the log and in errors.
fn address(source: &config::Source) -> String {
    match source {
        config::Source::Wok { address } => unix(address),
        config::Source::Listen(listen) => unix(&listen.address),
        config::Source::Amqp(settings) => exchange(settings),
        config::Source::Postgres(settings) => settings.to_string(),
        config::Source::Webhook(settings) => settings.path.as_str().to_owned(),
    }
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn exchange(settings: &config::AmqpSource) -> String {
    format!("{} exchange {}", settings.broker, settings.exchange)
}

/// The stop signal of a source: a reload or the server's shutdown.
#[derive(Clone)]
struct Stop {
    shutdown: Shutdown,
    token: CancellationToken,
}

impl Stop {
    /// Runs `work`, and cancels it at its next await point once the source is stopped.
    async fn ends(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => {}
            () = self.token.cancelled() => {}
            () = self.shutdown.requested() => {}
        }
    }

    /// True once the source is stopped.
    fn is_requested(&self) -> bool {
        self.token.is_cancelled() || self.shutdown.has_begun()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shutdown.spawn(task);
    }

    /// Waits for the stop of the source.
    async fn requested(&self) {
        self.ends(std::future::pending()).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is called on a thread that may block, for an upgrade"
)]
fn pause_briefly() {
    std::thread::sleep(Duration::from_millis(1));
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.status()).finish()
    }
}

#[cfg(test)]
mod tests;
