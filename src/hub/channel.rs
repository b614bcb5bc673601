//! One channel: its rules, its history and its subscribers. Must not know other channels, or how messages are sent.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use arc_swap::ArcSwap;
use slab::Slab;

use crate::config::{self, ChannelName, Slow, StoreKind};
use crate::hub::history::{Appended, History};
use crate::hub::message::Message;
use crate::hub::publisher_id::{PublisherId, PublisherIds};
use crate::hub::subscriber::Subscriber;
use crate::shares::Share;
use crate::sync::lock;
use crate::telemetry::ChannelMetrics;

/// A channel in use.
pub(super) struct Channel {
    pub(super) name: ChannelName,
    /// The rules from the configuration; a reload replaces them.
    rules: ArcSwap<config::Channel>,
    history: Mutex<History>,
    ids: Mutex<PublisherIds>,
    subscribers: Mutex<Subscribers>,
    pub(super) metrics: ChannelMetrics,
    /// Share of the limit on channels that patterns create, taken by the client that caused this one.
    _share: Share,
}

/// The subscribers of a channel, and the presence as it was last reported.
#[derive(Default)]
struct Subscribers {
    here: Slab<Arc<Subscriber>>,
    /// True if a subscriber has joined or left since the last check.
    changed: bool,
    told_names: BTreeSet<String>,
    told_count: usize,
    elsewhere: Presence,
}

/// The presence of a channel: the number and the names of its subscribers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presence {
    /// Number of subscribers.
    pub count: usize,
    /// User names of those that have one, deduplicated and sorted.
    pub names: BTreeSet<String>,
}

impl Presence {
    /// Adds the subscribers at other nodes.
    pub(super) fn add(&mut self, elsewhere: Self) {
        self.count += elsewhere.count;
        self.names.extend(elsewhere.names);
    }
}

/// The change in presence since it was last reported.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) now: Presence,
    pub(super) joined: Vec<String>,
    pub(super) left: Vec<String>,
    /// True if the channel has subscribers now and had none.
    pub(super) first: bool,
    /// True if the channel has no subscribers any more.
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

    /// Replaces the rules; subscribers stay.
    pub(super) fn change(&self, rules: config::Channel, budget: usize) {
        let bounds = History::bounds(&rules.history, budget);
        self.history().change(bounds, rules.slow == Slow::Conflate);
        self.rules.store(Arc::new(rules));
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// The publisher ids that are remembered for deduplication.
    pub(super) fn ids(&self) -> MutexGuard<'_, PublisherIds> {
        lock(&self.ids)
    }

    /// Remembers the publisher id of a message; returns the last offset whose id had to be forgotten for it.
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

    /// Forgets publisher ids that are too old, or too many after a reload.
    pub(super) fn trim_ids(&self, now: Instant) -> Option<u64> {
        let rules = self.rules.load();
        self.ids().trim(now, rules.history.ids, rules.history.age)
    }

    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        lock(&self.subscribers)
    }

    /// Appends a message to the history without waking subscribers.
    pub(super) fn append(&self, message: Arc<Message>) -> Appended {
        let listening = self.is_listened_to();
        self.history().append(message, Instant::now(), listening)
    }

    /// True if the history is on disk and survives a restart.
    pub(super) fn is_kept(&self) -> bool {
        self.rules.load().history.store == StoreKind::Disk
    }

    /// Wakes all subscribers that wait for a message.
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

    pub(super) fn leave(&self, key: usize) {
        let mut subscribers = self.subscribers();
        subscribers.changed = true;
        subscribers.here.try_remove(key);
    }

    pub(super) fn is_listened_to(&self) -> bool {
        !self.subscribers().here.is_empty()
    }

    /// All subscribers of this node.
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

    /// Returns the change in presence since the last call, with the subscribers at other nodes included. A change
    /// that happened only at another node is reported there, so it returns `None`.
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
