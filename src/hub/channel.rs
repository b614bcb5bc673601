//! One channel: its rules, its history, and who listens.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use slab::Slab;

use crate::config::{self, ChannelName, Slow, StoreKind};
use crate::hub::history::{Appended, History};
use crate::hub::message::Message;
use crate::hub::publisher_id::{PublisherId, PublisherIds};
use crate::hub::subscriber::Subscriber;
use crate::shares::Share;
use crate::telemetry::ChannelMetrics;

/// A channel in use.
pub(super) struct Channel {
    pub(super) name: ChannelName,
    /// Replaced by a reload.
    rules: ArcSwap<config::Channel>,
    history: Mutex<History>,
    ids: Mutex<PublisherIds>,
    subscribers: Mutex<Subscribers>,
    pub(super) metrics: ChannelMetrics,
    /// Of the channels that patterns may make, for whom this one was made.
    _share: Share,
}

/// Who listens, and what has been told of it.
#[derive(Default)]
struct Subscribers {
    here: Slab<Arc<Subscriber>>,
    /// What joined and left since the last look.
    changed: bool,
    told_names: BTreeSet<String>,
    told_count: usize,
    elsewhere: Presence,
}

/// Who listens to a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// How many.
    pub count: usize,
    /// The names of those that have one, each once, sorted.
    pub names: BTreeSet<String>,
}

impl Presence {
    /// Who listens elsewhere as well.
    pub(super) fn add(&mut self, elsewhere: Self) {
        self.count += elsewhere.count;
        self.names.extend(elsewhere.names);
    }
}

/// How presence has changed since it was last told.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) now: Presence,
    pub(super) joined: Vec<String>,
    pub(super) left: Vec<String>,
    /// Somebody listens now, and nobody did.
    pub(super) first: bool,
    /// Nobody listens any more.
    pub(super) last: bool,
}

impl Channel {
    pub(super) fn new(
        name: ChannelName,
        rules: config::Channel,
        budget: usize,
        metrics: ChannelMetrics,
        share: Share,
    ) -> Self {
        let bounds = History::bounds(&rules.history, budget);
        let history = History::new(bounds, rules.slow == Slow::Conflate);
        Self {
            name,
            rules: ArcSwap::from_pointee(rules),
            history: Mutex::new(history),
            ids: Mutex::default(),
            subscribers: Mutex::default(),
            metrics,
            _share: share,
        }
    }

    pub(super) fn rules(&self) -> Arc<config::Channel> {
        self.rules.load_full()
    }

    /// Takes other rules; who listens stays.
    pub(super) fn change(&self, rules: config::Channel, budget: usize) {
        let bounds = History::bounds(&rules.history, budget);
        self.history().change(bounds, rules.slow == Slow::Conflate);
        self.rules.store(Arc::new(rules));
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids of publishers that are remembered.
    pub(super) fn ids(&self) -> MutexGuard<'_, PublisherIds> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the publisher's id of a message; the last offset whose id was forgotten for it.
    pub(super) fn remember(
        &self,
        id: Option<PublisherId>,
        offset: u64,
        came: Instant,
    ) -> Option<u64> {
        let id = id?;
        let mut ids = self.ids();
        ids.insert(id.digest(), offset, came);
        let rules = self.rules.load();
        ids.trim(Instant::now(), rules.history.ids, rules.history.age)
    }

    /// Forgets ids that are too old, or too many after a reload.
    pub(super) fn trim_ids(&self, now: Instant) -> Option<u64> {
        let rules = self.rules.load();
        self.ids().trim(now, rules.history.ids, rules.history.age)
    }

    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a message. Nobody is woken by this.
    pub(super) fn append(&self, message: Arc<Message>) -> Appended {
        let listening = self.is_listened_to();
        self.history().append(message, Instant::now(), listening)
    }

    /// Whether its history outlives us.
    pub(super) fn is_kept(&self) -> bool {
        self.rules.load().history.store == StoreKind::Disk
    }

    /// Wakes everybody who waits for a message.
    pub(super) fn wake(&self) {
        for (_, subscriber) in &self.subscribers().here {
            subscriber.wake();
        }
    }

    pub(super) fn join(&self, subscriber: Arc<Subscriber>) -> usize {
        let mut subscribers = self.subscribers();
        subscribers.changed = true;
        subscribers.here.insert(subscriber)
    }

    pub(super) fn leave(&self, place: usize) {
        let mut subscribers = self.subscribers();
        subscribers.changed = true;
        subscribers.here.try_remove(place);
    }

    pub(super) fn is_listened_to(&self) -> bool {
        !self.subscribers().here.is_empty()
    }

    /// Everybody who listens.
    pub(super) fn listeners(&self) -> Vec<Arc<Subscriber>> {
        let subscribers = self.subscribers();
        subscribers
            .here
            .iter()
            .map(|(_, one)| Arc::clone(one))
            .collect()
    }

    pub(super) fn presence(&self) -> Presence {
        self.subscribers().presence()
    }

    /// What has changed here in who listens since this was last asked, with those who listen elsewhere. What only
    /// changed elsewhere is told there.
    pub(super) fn presence_change(&self, elsewhere: Presence) -> Option<Change> {
        let mut subscribers = self.subscribers();
        let changed = std::mem::take(&mut subscribers.changed);
        if !changed && elsewhere == subscribers.elsewhere {
            return None;
        }
        subscribers.elsewhere.clone_from(&elsewhere);
        let mut now = subscribers.presence();
        now.add(elsewhere);
        let before = std::mem::replace(&mut subscribers.told_count, now.count);
        let names = std::mem::replace(&mut subscribers.told_names, now.names.clone());
        if !changed || (before == now.count && names == now.names) {
            return None;
        }
        Some(Change {
            joined: now.names.difference(&names).cloned().collect(),
            left: names.difference(&now.names).cloned().collect(),
            first: before == 0 && now.count > 0,
            last: before > 0 && now.count == 0,
            now,
        })
    }
}

impl Subscribers {
    fn presence(&self) -> Presence {
        let names = self.here.iter().filter_map(|(_, one)| one.name.clone());
        Presence {
            count: self.here.len(),
            names: names.collect(),
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
