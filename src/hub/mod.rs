//! The hub delivers a message that is published once to all subscribers of its channel, and gives those that
//! reconnect the messages they missed.
//!
//! **Order.** All channels share one sequence of offsets. A message gets its offset and its place in the history under
//! one lock, and becomes visible when the head moves past it. So a reader of everything up to the head sees all
//! channels at the same moment, and one number is a position in any number of channels.
//!
//! A message of a history on disk gets its offset and its place only once the disk has it.
//!
//! **Publishing never waits for a subscriber.** It appends the message to the history and wakes the subscribers. Each
//! subscriber reads the histories at its own pace, within a budget of bytes. A subscriber that exceeds its budget is
//! treated by the rule of the channel, and always gets a gap or an end.
//!
//! Must not know sessions and apps: the layers above decide who may subscribe, and how a message of a page is handled.

mod address;
mod channel;
mod channels;
mod closed_floors;
mod compression;
mod connect_rate;
mod drain;
mod error;
mod event_name;
mod handover;
mod history;
mod housekeeping;
mod kind;
mod message;
mod overview;
mod persistence;
mod private;
mod publish;
mod publisher_id;
mod sequence;
mod sequencer;
mod settings;
pub(crate) mod sockjs_message;
mod store;
mod stream_entries;
mod subscriber;
mod subscriber_rows;
mod subscription;
mod wire;
mod wire_cache;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::config::{self, ChannelName, Config, StoreKind};
use crate::faults::Faults;
use crate::http::Lease;
use crate::shares::{Client, Denied, Parts, Shares};
use crate::sync::lock;
use crate::telemetry::{Channels, LogLimiter};
use crate::text::secret::same_bytes;

pub(crate) use address::{Address, Parameters, etag, names as channel_names};
pub(crate) use channel::Presence;
pub(crate) use compression::Coding;
pub(crate) use error::{HubError, PublishError, SubscribeError};
pub(crate) use handover::HubSnapshot;
pub(crate) use housekeeping::Hook;
pub(crate) use kind::Kind;
pub(crate) use message::{Data, Draft, Epoch, EventId, From, Message};
pub(crate) use overview::ChannelOverview;
pub(crate) use publish::{Pending, Published};
pub(crate) use publisher_id::{PublisherId, Unique};
pub(crate) use sequencer::{Sequencer, SharedStream};
pub(crate) use settings::HubPlan;
pub(crate) use subscriber_rows::SubscriptionOverview;
pub(crate) use subscription::{End, NOT_PERMITTED, Next, Reset, Subscription, channels_named};
pub(crate) use wire::{Format, deflated, frame};

use channel::Channel;
use channels::Missing;
use closed_floors::ClosedFloors;
use connect_rate::{Rates, TooFast};
use persistence::DiskOrder;
use sequence::Sequence;
use settings::Settings;
use store::{EpochStart, Opened, Recovered, Store};

/// Checks that the hub of a configuration can be opened. Creates no file, and does not open the hub.
///
/// # Errors
/// A fault for each thing that cannot be used.
pub(crate) fn check(config: &Config) -> Faults<HubError> {
    let mut faults = Faults::default();
    faults.keep(Settings::of(config));
    let on_disk = |channel: &config::Channel| channel.history.store == StoreKind::Disk;
    if config.channels.iter().any(on_disk) {
        faults.keep(store::check(&config.hub.store));
    }
    faults
}

/// The set of all channels of a server. Clones share it; it outlives a reload.
#[derive(Clone)]
pub(crate) struct Hub(Arc<HubState>);

struct HubState {
    epoch: ArcSwap<Epoch>,
    sequencer: Sequencer,
    /// Earlier runs whose ids the store can still resolve, oldest first.
    epochs: ArcSwap<Vec<EpochStart>>,
    /// The store of the histories on disk; present if any channel had one at the start.
    store: ArcSwapOption<Store>,
    /// True while a history on disk has not been read yet, because the disk failed.
    behind: AtomicBool,
    /// True once another process has taken over the messages: this process publishes no more.
    is_handed_over: AtomicBool,
    /// True once all subscribers were dismissed; a later subscriber is dismissed at once.
    dismissed: AtomicBool,
    settings: ArcSwap<Settings>,
    channels: RwLock<HashMap<ChannelName, Arc<Channel>>>,
    /// The sequence; locked while a message gets its offset.
    sequence: Arc<Mutex<Sequence>>,
    /// The offsets that closed channels have lost. Their least is the highest offset that was already trimmed from the
    /// cluster stream when this node joined.
    closed: Mutex<ClosedFloors>,
    /// Highest offset whose message is in its history.
    head: AtomicU64,
    subscribers: Shares,
    /// Shares of the limit on channels created by patterns.
    made: Shares,
    rate: Mutex<Rates>,
    /// Limiter of the log lines about messages of the cluster that find no room here.
    passed_over: LogLimiter,
    metrics: Channels,
}

impl Hub {
    /// Creates a hub whose metrics are not read.
    #[cfg(test)]
    pub(crate) fn new(config: &Config, snapshot: Option<HubSnapshot>) -> Result<Self, HubError> {
        Self::measured(config, snapshot, Channels::default(), Sequencer::Local)
    }

    /// Creates a hub with the channels of a configuration and the messages from disk and from the snapshot of
    /// another process, counted in these metrics. The sequencer assigns the offsets.
    ///
    /// # Errors
    /// [`HubError`] names the file, the reason, and the remedy.
    pub(crate) fn measured(
        config: &Config,
        snapshot: Option<HubSnapshot>,
        metrics: Channels,
        sequencer: Sequencer,
    ) -> Result<Self, HubError> {
        let moves = snapshot.is_some();
        let snapshot = snapshot.unwrap_or_default();
        let epoch = Epoch::parse(&snapshot.epoch).unwrap_or_default();
        let settings = Settings::of(config)?;
        let (store, recovered) = if settings.keeps() {
            let (opened, recovered) = Opened::open(&config.hub.store, &epoch.to_string())?;
            // The process before this one has all of it in memory, and may go on with that.
            if let Some(error) = opened.trouble().filter(|_| moves) {
                return Err(error.into());
            }
            (Some(opened), recovered)
        } else {
            (None, Recovered::default())
        };
        let last = recovered.last.max(snapshot.last);
        let hub = Self(Arc::new(HubState {
            epoch: ArcSwap::from_pointee(epoch),
            sequencer,
            closed: Mutex::default(),
            epochs: ArcSwap::from_pointee(recovered.epochs.clone()),
            store: ArcSwapOption::empty(),
            behind: AtomicBool::new(store.as_ref().is_some_and(Opened::is_behind)),
            is_handed_over: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            settings: ArcSwap::from_pointee(settings),
            channels: RwLock::default(),
            sequence: Arc::new(Mutex::new(Sequence::new(last))),
            head: AtomicU64::new(last),
            subscribers: Shares::new(config.hub.subscribers as u64, Parts::from(&config.limits)),
            made: Shares::new(config.hub.channels as u64, Parts::from(&config.limits)),
            rate: Mutex::new(Rates::new(
                config.hub.connect_rate,
                config.limits.address_share,
            )),
            passed_over: LogLimiter::new(),
            metrics,
        }));
        if let Some(opened) = store {
            let store = opened.run(DiskOrder::of(&hub))?;
            hub.0.store.store(Some(Arc::new(store)));
        }
        hub.restore(recovered);
        hub.restore_snapshot(snapshot);
        hub.open_named();
        Ok(hub)
    }

    /// Reads and checks what another configuration needs, without any effect.
    ///
    /// # Errors
    /// [`HubError`] says why this hub cannot take it.
    pub(crate) fn plan(&self, config: &Config) -> Result<HubPlan, HubError> {
        let settings = Settings::of(config)?;
        let moved = settings.hub.store != self.0.settings.load().hub.store;
        if settings.keeps() && (self.0.store.load().is_none() || moved) {
            return Err(HubError::StoreNeedsRestart);
        }
        let parts = Parts::from(&config.limits);
        Ok(HubPlan { settings, parts })
    }

    /// Puts another configuration in force. Subscribers stay, also those of a channel that it does not contain.
    pub(crate) fn commit(&self, plan: HubPlan) {
        let HubPlan { settings, parts } = plan;
        lock(&self.0.rate).change(settings.hub.connect_rate, parts.address);
        let subscribers = settings.hub.subscribers as u64;
        self.0.subscribers.change(subscribers, parts);
        self.0.made.change(settings.hub.channels as u64, parts);
        for (name, channel) in self.channels_now() {
            if let Some(rules) = settings.rules_of(&name) {
                channel.change(rules.clone(), settings.hub.budget);
            }
        }
        self.0.settings.store(Arc::new(settings));
        self.open_named();
    }

    /// True if this is the publish token, compared in constant time.
    #[must_use]
    pub(crate) fn is_publish_token(&self, token: &str) -> bool {
        let settings = self.0.settings.load();
        let known = settings.publish_token.as_ref();
        known.is_some_and(|known| same_bytes(known.as_bytes(), token.as_bytes()))
    }

    /// The settings that all channels share.
    #[must_use]
    pub(crate) fn settings(&self) -> config::Hub {
        self.0.settings.load().hub.clone()
    }

    /// The rules of a channel, if the configuration has one of this name.
    #[must_use]
    pub(crate) fn rules(&self, name: &ChannelName) -> Option<config::Channel> {
        let settings = self.0.settings.load();
        let open = Some(name).filter(|name| !name.is_internal());
        settings.rules_of(open?).cloned()
    }

    /// Subscribes to channels for as long as the lease holds, if there is one. For programs on this machine.
    ///
    /// # Errors
    /// A [`SubscribeError`] says which channel is unknown, or which limit is reached.
    pub(crate) fn subscribe(
        &self,
        names: &[ChannelName],
        from: From,
        lease: Option<Lease>,
    ) -> Result<Subscription, SubscribeError> {
        self.subscribe_from(None, names, from, lease)
    }

    /// Subscribes a client, which counts towards the share of its address and of the session of the lease.
    ///
    /// # Errors
    /// A [`SubscribeError`] says which channel is unknown, or which limit is reached.
    pub(crate) fn subscribe_from(
        &self,
        address: Option<IpAddr>,
        names: &[ChannelName],
        from: From,
        lease: Option<Lease>,
    ) -> Result<Subscription, SubscribeError> {
        if let Some(name) = names.iter().find(|name| name.is_internal()) {
            return Err(SubscribeError::Unknown(name.clone()));
        }
        self.subscribe_to_any(address, names, from, lease)
    }

    /// Subscribes to channels of any kind, including the internal ones of GRIP and Mercure.
    pub(super) fn subscribe_to_any(
        &self,
        address: Option<IpAddr>,
        names: &[ChannelName],
        from: From,
        lease: Option<Lease>,
    ) -> Result<Subscription, SubscribeError> {
        let settings = self.0.settings.load();
        let unknown = names
            .iter()
            .find(|name| settings.rules_of(name).is_none() && self.open_channel(name).is_none());
        if let Some(name) = unknown {
            return Err(SubscribeError::Unknown(name.clone()));
        }
        if self.0.sequencer.is_catching_up() {
            return Err(SubscribeError::Starting);
        }
        let in_time = lock(&self.0.rate).take(address, Instant::now());
        in_time.map_err(|too_fast| {
            self.0.metrics.refuse("too-fast");
            match too_fast {
                TooFast::All => SubscribeError::TooFast(settings.hub.connect_rate),
                TooFast::Address => SubscribeError::AddressTooFast,
            }
        })?;
        let client = Client {
            address,
            session: lease.as_ref().and_then(Lease::session),
        };
        let share = self.0.subscribers.take(client, 1);
        let share = share.map_err(|denied| match denied {
            Denied::All => {
                self.0.metrics.refuse("full");
                SubscribeError::Full(settings.hub.subscribers)
            }
            Denied::Client => {
                self.0.metrics.refuse("share");
                SubscribeError::Share
            }
        })?;
        // A channel is only created for a client that may subscribe to it.
        let channels = self.channels_for(client, names)?;
        let behind = self.0.behind.load(Ordering::Acquire);
        if let Some(channel) = channels.iter().find(|channel| behind && channel.is_kept()) {
            return Err(SubscribeError::Unread(channel.name.clone()));
        }
        Ok(Subscription::new(self, channels, share, from, lease))
    }

    fn channels_for(
        &self,
        client: Client,
        names: &[ChannelName],
    ) -> Result<Vec<Arc<Channel>>, SubscribeError> {
        let channels = names.iter().map(|name| {
            self.channel_for(client, name)
                .map_err(|missing| match missing {
                    Missing::Unknown => SubscribeError::Unknown(name.clone()),
                    Missing::TooMany(limit) => SubscribeError::TooManyChannels(limit),
                    Missing::Share => SubscribeError::ChannelShare,
                })
        });
        channels.collect()
    }

    /// Opens a channel on behalf of a client, whose share it counts towards if a pattern creates it. Does nothing
    /// if it is open.
    ///
    /// # Errors
    /// The [`PublishError`] that a message to this channel would get.
    pub(crate) fn open_for(
        &self,
        address: Option<IpAddr>,
        name: &ChannelName,
    ) -> Result<(), PublishError> {
        let client = Client {
            address,
            session: None,
        };
        let channel = self.channel_for(client, name);
        channel
            .map(drop)
            .map_err(|missing| missing.for_publisher(name))
    }

    /// Presence of a channel; empty if it is not open.
    #[must_use]
    pub(crate) fn presence(&self, name: &ChannelName) -> Presence {
        let channel = self.open_channel(name);
        let mut presence = channel
            .map(|channel| channel.presence())
            .unwrap_or_default();
        presence.add(self.0.sequencer.presence_elsewhere(name));
        presence
    }

    /// Takes and releases the locks that every message needs, as a health check: if this does not return, the
    /// process is stuck.
    pub(crate) fn check_locks(&self) {
        drop(lock(&self.0.sequence));
        drop(self.channels_now());
    }

    /// Number of subscribers.
    #[must_use]
    pub(crate) fn subscribers(&self) -> usize {
        usize::try_from(self.0.subscribers.taken()).unwrap_or(usize::MAX)
    }

    /// The id of the newest message.
    #[must_use]
    pub(crate) fn newest(&self) -> EventId {
        self.id(self.head())
    }

    /// Delay that a client should wait before it reconnects: the configured time plus a random part of up to the same
    /// length, so that clients do not reconnect all at once.
    #[must_use]
    pub(crate) fn retry(&self) -> Duration {
        let retry = self.0.settings.load().hub.retry;
        retry + retry.mul_f64(crate::net::random())
    }

    fn head(&self) -> u64 {
        self.0.head.load(Ordering::Acquire)
    }

    fn budget(&self) -> u64 {
        self.0.settings.load().hub.budget as u64
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("epoch", &self.0.epoch)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
