//! Where the messages of channels come from, beside HTTP: the `[[channel.source]]`s of the configuration.
//!
//! Opens all sockets before anything runs, so that what cannot work is told at the start, and a reload takes
//! all of the new sources or none. What did not change is not touched by a reload. Only publishes: knows no
//! subscriber, and no other way to publish.

mod amqp;
pub(super) mod backoff;
mod json;
mod listen;
mod outlet;
mod splitter;
mod unkept;
mod users;
mod wok;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::config::{self, ChannelPattern, Config, Framing};
use crate::hub::Hub;
use crate::hub::broker::Broker;
use crate::shutdown::Shutdown;

pub use outlet::Status;

use listen::{Door, Rules};
use outlet::Outlet;

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// The running sources of a hub. Clones are the same ones; dropping the last stops them, as a shutdown does.
#[derive(Clone)]
pub struct Sources(Arc<Shared>);

struct Shared {
    hub: Hub,
    shutdown: Shutdown,
    running: Mutex<Vec<Running>>,
}

/// A source with its task, which ends when this is dropped.
struct Running {
    source: Source,
    outlet: Arc<Outlet>,
    /// The task holds it, so that the socket is closed and its file removed when the task ends.
    door: Weak<Door>,
    /// The task holds it as long as it works.
    work: Weak<()>,
    _stop: DropGuard,
}

/// All that makes a source what it is: two that are equal are the same.
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
}

/// The sources of a configuration, their sockets open and nothing running: see [`Sources::commit`].
#[must_use]
pub struct SourcesPlan(Vec<(Source, Way)>);

/// What a source has opened before it runs.
#[derive(Clone)]
enum Way {
    /// Nothing: an app is connected to when it is there.
    None,
    Door(Arc<Door>),
    Broker(Box<Broker>),
}

/// Why the sources of a configuration cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel {channel}: source {address}: {reason}")]
pub struct SourceError {
    channel: ChannelPattern,
    address: String,
    reason: String,
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
        }));
        sources.reload(config)?;
        Ok(sources)
    }

    /// Takes the sources of another configuration: those that are in it as they were go on, the others stop,
    /// new ones start. [`plan`](Self::plan) and [`commit`](Self::commit) in one.
    ///
    /// # Errors
    /// [`SourceError`]; nothing has changed then.
    pub fn reload(&self, config: &Config) -> Result<(), SourceError> {
        self.plan(config).map(|plan| self.commit(plan))
    }

    /// Opens the sockets that another configuration needs and this one has not. Nothing else is changed; what was
    /// opened is closed when the plan is dropped.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn plan(&self, config: &Config) -> Result<SourcesPlan, SourceError> {
        let mut opened = Vec::new();
        let doors = self.doors();
        for channel in &config.channels {
            for source in &channel.sources {
                let failed = |reason| SourceError {
                    channel: channel.name.clone(),
                    address: address(source),
                    reason,
                };
                let source = Source::new(channel, source).map_err(failed)?;
                let way = way(&source, &doors).map_err(failed)?;
                opened.push((source, way));
            }
        }
        Ok(SourcesPlan(opened))
    }

    /// Lets what was opened run, and stops what is not in it.
    pub fn commit(&self, plan: SourcesPlan) {
        let mut running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
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
            running.push(same.unwrap_or_else(|| self.run(source, way)));
        }
    }

    /// Stops all of them, and says whether they have ended and their sockets are closed; waits for that at most for
    /// `limit`. Blocks. What a broker has sent is acknowledged then or given back, so that whoever reads its queue
    /// next gets the rest in order. A [`reload`](Self::reload) starts them again.
    pub fn pause(&self, limit: Duration) -> bool {
        let running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .split_off(0);
        let parts = |source: &Running| (source.door.clone(), source.work.clone());
        let parts: Vec<_> = running.iter().map(parts).collect();
        drop(running);
        let holds = |(door, work): &(Weak<Door>, Weak<()>)| {
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

    /// How each source is, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        let running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        running
            .iter()
            .map(|source| source.outlet.status())
            .collect()
    }

    /// The sockets that are open, by address.
    fn doors(&self) -> HashMap<PathBuf, Arc<Door>> {
        let running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
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
                Way::Door(door) => Arc::downgrade(door),
                Way::None | Way::Broker(_) => Weak::new(),
            },
            work: Arc::downgrade(&work),
            _stop: stop.token.clone().drop_guard(),
        };
        let own_stop = stop.clone();
        stop.spawn(async move {
            source.work(&outlet, way, &own_stop).await;
            outlet.set_up(false);
            drop(work);
        });
        running
    }
}

/// What a source needs to run. `doors` are the sockets that are open already.
fn way(source: &Source, doors: &HashMap<PathBuf, Arc<Door>>) -> Result<Way, String> {
    match &source.origin {
        Origin::Wok { .. } => Ok(Way::None),
        Origin::Listen { listen, .. } => door(listen, doors).map(Way::Door),
        Origin::Amqp(settings) => {
            let broker = Broker::new(&settings.broker).map_err(|error| error.to_string())?;
            Ok(Way::Broker(Box::new(broker)))
        }
    }
}

/// The socket of a source that listens: the one that is there, if only what is done with it has changed, so that
/// programs which connect meanwhile are not refused.
fn door(listen: &config::Listen, doors: &HashMap<PathBuf, Arc<Door>>) -> Result<Arc<Door>, String> {
    match doors.get(&listen.address) {
        Some(door) if door.is_datagram() != listen.datagram => Err(
            "the `type` of a socket cannot be changed by a reload; restart Noren for that"
                .to_owned(),
        ),
        Some(door) => Ok(Arc::clone(door)),
        None => Door::open(listen).map(Arc::new),
    }
}

impl Source {
    fn new(channel: &config::Channel, source: &config::Source) -> Result<Self, String> {
        let boundary = &channel.boundary;
        let origin = match source {
            config::Source::Wok { address } => Origin::Wok {
                address: address.clone(),
                boundary: boundary.clone(),
            },
            config::Source::Amqp(settings) => Origin::Amqp(settings.clone()),
            config::Source::Listen(listen) => Origin::Listen {
                rules: Rules {
                    framing: listen.framing,
                    // Where it ends nothing, another boundary is no other source.
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
            Origin::Wok { .. } | Origin::Amqp(_) => None,
        }
    }

    fn outlet(&self, hub: &Hub) -> Outlet {
        let (kind, address) = match &self.origin {
            Origin::Wok { address, .. } => ("wok", unix(address)),
            Origin::Listen { listen, .. } => ("listen", unix(&listen.address)),
            Origin::Amqp(settings) => ("amqp", exchange(settings)),
        };
        Outlet::new(hub.clone(), self.channel.clone(), kind, address)
    }

    /// Works until the end has come.
    async fn work(self, outlet: &Arc<Outlet>, way: Way, stop: &Stop) {
        match (self.origin, way) {
            (Origin::Wok { address, boundary }, _) => {
                stop.ends(wok::follow(outlet, &address, &boundary)).await;
            }
            (Origin::Listen { listen, rules }, Way::Door(door)) => {
                // A socket that was there before has the mode it had.
                if let Err(reason) = door.set_mode(listen.mode) {
                    warn!(channel = %self.channel, address = outlet.address(), reason, "a source's socket keeps its old mode");
                }
                stop.ends(listen::serve(&door, outlet, rules, stop)).await;
            }
            (Origin::Amqp(settings), Way::Broker(broker)) => {
                // It ends by itself, with a goodbye to the broker.
                amqp::follow(outlet, &broker, &settings, stop).await;
            }
            (Origin::Listen { .. } | Origin::Amqp(_), _) => {}
        }
    }
}

/// What a source is called in the log and in errors.
fn address(source: &config::Source) -> String {
    match source {
        config::Source::Wok { address } => unix(address),
        config::Source::Listen(listen) => unix(&listen.address),
        config::Source::Amqp(settings) => exchange(settings),
    }
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn exchange(settings: &config::AmqpSource) -> String {
    format!("{} exchange {}", settings.broker, settings.exchange)
}

/// The end of a source, by a reload or with the server.
#[derive(Clone)]
struct Stop {
    shutdown: Shutdown,
    token: CancellationToken,
}

impl Stop {
    /// Works until the end has come, at the next point where it waits.
    async fn ends(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => {}
            () = self.token.cancelled() => {}
            () = self.shutdown.requested() => {}
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shutdown.spawn(task);
    }

    /// Returns when the end has come.
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
