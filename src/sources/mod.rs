//! The sources of messages: the `[[channel.source]]` tables of the configuration.
//!
//! All sockets are opened before anything runs, so that errors are reported at the start, and a reload takes all new
//! sources or none. A reload does not touch an unchanged source. Sources only publish; they do not know subscribers.

mod amqp;
mod content;
mod json;
mod listen;
mod pending_writes;
mod postgres;
mod retry;
mod sink;
mod source;
mod splitter;
mod stop;
mod users;
mod webhook;
mod wok;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio_util::sync::DropGuard;

use crate::config::{ChannelPattern, Config};
use crate::faults::Faults;
use crate::hub::Hub;
use crate::shutdown::Shutdown;
use crate::sync::lock;

pub(crate) use sink::SourceStatus;
pub(crate) use source::SourceError;
pub(crate) use webhook::{Delivery, Unbelieved, Webhook, WebhookFault};

use listen::PublishSocket;
use sink::Sink;
use source::{Resource, Source};
use stop::Stop;
use webhook::Gate;

/// The running sources of a hub. Clones share them; dropping the last one stops them, as a shutdown does.
#[derive(Clone)]
pub(crate) struct Sources(Arc<Shared>);

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
    sink: Arc<Sink>,
    /// The open socket. The task owns it, so that it is closed and its file is removed when the task ends.
    socket: Weak<PublishSocket>,
    /// The secrets of a webhook.
    gate: Option<Arc<Gate>>,
    /// A token that the task owns while it runs.
    work: Weak<()>,
    _stop: DropGuard,
}

/// Sources of a configuration with open sockets that are not running yet: see [`Sources::commit`].
#[must_use]
pub(crate) struct SourcesPlan(Vec<(Source, Resource)>);

/// Checks that the sources of a configuration can be opened. Opens none of them.
///
/// # Errors
/// A [`SourceError`] for each that cannot be.
pub(crate) fn check(config: &Config) -> Result<(), Faults<SourceError>> {
    let sources = config.channels.iter().flat_map(|channel| {
        let sources = channel.sources.iter();
        sources.map(move |source| (channel, source))
    });
    let checked = sources.map(|(channel, source)| {
        Source::new(config, channel, source)
            .and_then(|source| source.check())
            .map_err(|reason| SourceError::new(channel, source, reason))
    });
    Faults::gather(checked).map(drop)
}

impl Sources {
    /// Opens the sources of a configuration and runs them. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`SourceError`] names the channel, the socket and the reason; nothing runs then.
    pub(crate) fn start(
        hub: &Hub,
        config: &Config,
        shutdown: &Shutdown,
    ) -> Result<Self, SourceError> {
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
    pub(crate) fn reload(&self, config: &Config) -> Result<(), SourceError> {
        self.plan(config).map(|plan| self.commit(plan))
    }

    /// Opens the sockets that another configuration needs in addition, without any other effect; dropping the plan
    /// closes them.
    ///
    /// # Errors
    /// A [`SourceError`] names the channel, the socket and the reason.
    pub(crate) fn plan(&self, config: &Config) -> Result<SourcesPlan, SourceError> {
        let mut opened = Vec::new();
        let sockets = self.sockets();
        for channel in &config.channels {
            for source in &channel.sources {
                let failed = |reason| SourceError::new(channel, source, reason);
                let source = Source::new(config, channel, source).map_err(failed)?;
                let resource = Resource::open(&source, &sockets).map_err(failed)?;
                opened.push((source, resource));
            }
        }
        Ok(SourcesPlan(opened))
    }

    /// Runs the planned sources, and stops those that are not in the plan.
    pub(crate) fn commit(&self, plan: SourcesPlan) {
        let mut running = lock(&self.0.running);
        // By channel, so that a file of many channels is gone through once.
        let mut before: HashMap<ChannelPattern, Vec<Running>> = HashMap::new();
        for old in running.drain(..) {
            let channel = before.entry(old.source.channel.clone()).or_default();
            channel.push(old);
        }
        for (source, resource) in plan.0 {
            let same = before.get_mut(&source.channel).and_then(|channel| {
                let index = channel.iter().position(|old| old.source == source)?;
                Some(channel.swap_remove(index))
            });
            running.push(match same {
                Some(same) => {
                    if let (Some(gate), Some(read)) = (&same.gate, resource.gate()) {
                        gate.renew(read);
                    }
                    same
                }
                None => self.run(source, resource),
            });
        }
        let webhooks = running.iter().filter_map(Running::webhook);
        self.0.webhooks.store(Arc::new(webhooks.collect()));
    }

    /// The webhook at this path, if its source runs.
    #[must_use]
    pub(crate) fn webhook(&self, path: &str) -> Option<Webhook> {
        self.0.webhooks.load().get(path).cloned()
    }

    /// Stops all sources and waits at most `limit` until they have ended and their sockets are closed; returns
    /// false if they have not. Blocks. Messages from a broker are acknowledged or returned by then, so that the
    /// next consumer of the queue gets the rest in order. A [`reload`](Self::reload) starts the sources again.
    pub(crate) fn pause(&self, limit: Duration) -> bool {
        self.0.webhooks.store(Arc::default());
        let running = lock(&self.0.running).split_off(0);
        let parts = |source: &Running| (source.socket.clone(), source.work.clone());
        let parts: Vec<_> = running.iter().map(parts).collect();
        drop(running);
        let holds = |(socket, work): &(Weak<PublishSocket>, Weak<()>)| {
            socket.strong_count() > 0 || work.strong_count() > 0
        };
        let started_at = Instant::now();
        while parts.iter().any(holds) {
            if started_at.elapsed() > limit {
                return false;
            }
            pause_briefly();
        }
        true
    }

    /// Status of each source, in the order of the configuration.
    #[must_use]
    pub(crate) fn status(&self) -> Vec<SourceStatus> {
        let running = lock(&self.0.running);
        running.iter().map(|source| source.sink.status()).collect()
    }

    /// The open sockets, by address.
    fn sockets(&self) -> HashMap<PathBuf, Arc<PublishSocket>> {
        let running = lock(&self.0.running);
        let sockets = running.iter().filter_map(|running| {
            let address = running.source.listens_on()?.to_owned();
            Some((address, running.socket.upgrade()?))
        });
        sockets.collect()
    }

    fn run(&self, source: Source, resource: Resource) -> Running {
        let stop = Stop::new(&self.0.shutdown);
        let sink = Arc::new(source.sink(&self.0.hub));
        let work = Arc::new(());
        let socket = resource.socket().map_or_else(Weak::new, |socket| {
            socket.keep();
            Arc::downgrade(socket)
        });
        let running = Running {
            source: source.clone(),
            sink: Arc::clone(&sink),
            socket,
            gate: resource.gate().cloned(),
            work: Arc::downgrade(&work),
            _stop: stop.guard(),
        };
        let own_stop = stop.clone();
        stop.spawn(async move {
            source.work(&sink, resource, &own_stop).await;
            sink.set_down();
            drop(work);
        });
        running
    }
}

impl Running {
    /// The webhook with its path, if the source is one.
    fn webhook(&self) -> Option<(String, Webhook)> {
        let path = self.source.webhook_path()?;
        let gate = Arc::clone(self.gate.as_ref()?);
        Some((path.to_owned(), Webhook::new(gate, Arc::clone(&self.sink))))
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
