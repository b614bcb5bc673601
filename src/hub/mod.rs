//! The hub: a message that is published once reaches everybody who listens, and who comes back gets what was
//! missed.
//!
//! **Order.** All channels share one sequence of offsets. A message gets its offset and its place in the history
//! under one lock, and then becomes visible by the head being moved past it; so whoever reads up to the head
//! sees all channels at one moment, and one number says how far it has come in any number of them.
//!
//! **Publishing never waits for a subscriber.** It appends to the history, and wakes. Each subscriber walks the
//! histories at its own pace, within a budget of bytes; what happens beyond that is the channel's rule, and is
//! always told.
//!
//! Knows no session and no app: who may subscribe, and what a page's message means, is decided above.

mod address;
mod channel;
mod error;
mod forms;
mod history;
mod inbox;
mod keeping;
mod message;
mod outbox;
mod overview;
mod poll;
mod rate;
mod settings;
mod socket;
mod sockjs;
mod sources;
mod store;
mod stream;
mod subscription;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::config::{self, ChannelName, Config};
use crate::http::Lease;
use crate::shutdown::Shutdown;
use crate::target::same_bytes;
use crate::telemetry::Channels;

pub use address::{Address, Parameters, etag};
pub use channel::Presence;
pub use error::{HubError, PublishError, SubscribeError};
pub use forms::Format;
pub use inbox::{Outcome, Receiver};
pub use message::{Data, Draft, Epoch, EventId, From, Kind, Message};
pub use poll::{Wait, poll};
pub use socket::{Form, Listening, open_socket};
pub use sockjs::{Asked, SockJs, Visitor};
pub use sources::{SourceError, Sources};
pub use stream::{event_stream, set_headers};
pub use subscription::{End, Next, Subscription};

use channel::Channel;
use message::unix_milliseconds;
use rate::Rate;
use settings::Settings;
use store::{Acknowledgement, EpochStart, Recovered, Store};

/// All channels of a server. Clones are the same hub; it outlives a reload.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    epoch: Epoch,
    /// The runs before this one, where a store remembers them, oldest first.
    epochs: Vec<EpochStart>,
    store: Option<Store>,
    settings: ArcSwap<Settings>,
    channels: RwLock<HashMap<ChannelName, Arc<Channel>>>,
    /// The last offset given away. Held while a message gets its place.
    sequence: Mutex<u64>,
    /// The last offset whose message is in its history.
    head: AtomicU64,
    subscribers: AtomicUsize,
    rate: Mutex<Rate>,
    metrics: Channels,
}

/// A message that was taken.
#[derive(Debug)]
pub struct Published {
    /// The id it got.
    pub id: EventId,
    kept: Option<Acknowledgement>,
}

impl Published {
    /// Waits until the message is as durable as its channel promises: on disk, where the history is.
    ///
    /// # Errors
    /// [`PublishError::NotKept`]: it was delivered, but may be gone after a restart.
    pub async fn acknowledged(self) -> Result<EventId, PublishError> {
        if let Some(kept) = self.kept {
            kept.await
                .map_err(|error| PublishError::NotKept(error.to_string()))?;
        }
        Ok(self.id)
    }
}

/// Something the app wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The channel.
    pub channel: ChannelName,
    /// The name of the app; none is the first.
    pub app: Option<String>,
    /// The path at the app.
    pub path: String,
    /// Who listens now.
    pub presence: Presence,
}

impl Hub {
    /// A hub that nobody watches.
    #[cfg(test)]
    pub fn new(config: &Config) -> Result<Self, HubError> {
        Self::measured(config, Channels::default())
    }

    /// A hub with the channels of a configuration, and no message, counted in these metrics.
    ///
    /// # Errors
    /// [`HubError`] names the file, the reason, and the remedy.
    pub fn measured(config: &Config, metrics: Channels) -> Result<Self, HubError> {
        let epoch = Epoch::new();
        let settings = Settings::of(config)?;
        let (store, recovered) = if settings.keeps() {
            let (store, recovered) = Store::open(&config.hub.store, &epoch.to_string())?;
            (Some(store), recovered)
        } else {
            (None, Recovered::default())
        };
        let hub = Self(Arc::new(Shared {
            epoch,
            epochs: recovered.epochs.clone(),
            store,
            settings: ArcSwap::from_pointee(settings),
            channels: RwLock::default(),
            sequence: Mutex::new(recovered.last),
            head: AtomicU64::new(recovered.last),
            subscribers: AtomicUsize::new(0),
            rate: Mutex::new(Rate::new(config.hub.connect_rate)),
            metrics,
        }));
        hub.restore(recovered);
        hub.open_named();
        Ok(hub)
    }

    /// Takes another configuration. Subscribers stay, even of a channel that is not in it any more.
    ///
    /// # Errors
    /// [`HubError`]; nothing has changed then.
    pub fn reload(&self, config: &Config) -> Result<(), HubError> {
        let settings = Settings::of(config)?;
        let moved = settings.hub.store != self.0.settings.load().hub.store;
        if settings.keeps() && (self.0.store.is_none() || moved) {
            return Err(HubError::StoreNeedsRestart);
        }
        lock(&self.0.rate).change(settings.hub.connect_rate);
        for (name, channel) in self.channels_now() {
            if let Some(rules) = settings.rules_of(&name) {
                channel.change(rules.clone(), settings.hub.budget);
            }
        }
        self.0.settings.store(Arc::new(settings));
        self.open_named();
        Ok(())
    }

    /// Whether this is the publish token.
    #[must_use]
    pub fn is_publish_token(&self, token: &str) -> bool {
        let settings = self.0.settings.load();
        let known = settings.publish_token.as_ref();
        known.is_some_and(|known| same_bytes(known.as_bytes(), token.as_bytes()))
    }

    /// Channels with a name exist from the start, so that their history does not depend on who came first.
    fn open_named(&self) {
        let settings = self.0.settings.load();
        let names = settings.rules.iter().filter_map(|rules| rules.name.name());
        for name in names {
            let _ = self.channel(&name);
        }
    }

    /// The settings all channels share.
    #[must_use]
    pub fn settings(&self) -> config::Hub {
        self.0.settings.load().hub.clone()
    }

    /// The rules of a channel, if there is one of this name.
    #[must_use]
    pub fn rules(&self, name: &ChannelName) -> Option<config::Channel> {
        self.0.settings.load().rules_of(name).cloned()
    }

    /// Publishes a message. Does not wait for anybody.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was published then.
    pub fn publish(&self, name: &ChannelName, draft: Draft) -> Result<Published, PublishError> {
        let limit = self.0.settings.load().hub.message_size;
        let size = draft.size();
        if size > limit {
            return Err(PublishError::TooLarge { size, limit });
        }
        if let Some(fault) = draft.fault() {
            return Err(PublishError::Malformed(fault));
        }
        let channel = self.channel(name).map_err(|missing| match missing {
            Missing::Unknown => PublishError::Unknown(name.clone()),
            Missing::TooMany(limit) => PublishError::TooManyChannels(limit),
        })?;
        let mut sequence = lock(&self.0.sequence);
        let id = self.id(*sequence + 1);
        let message = Message::new(id.clone(), name.clone(), draft, unix_milliseconds());
        // Under the lock, so that the store has them in the same order. It only queues.
        let kept = self.keep(&channel, &message)?;
        let appended = channel.append(Arc::new(message));
        self.forget(&channel, appended.replaced, appended.lost);
        *sequence += 1;
        self.0.head.store(*sequence, Ordering::Release);
        drop(sequence);
        channel.metrics.messages.inc();
        channel.wake();
        Ok(Published { id, kept })
    }

    /// Listens to channels, for as long as the lease holds, if one is needed.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(
        &self,
        names: &[ChannelName],
        from: From,
        lease: Option<Lease>,
    ) -> Result<Subscription, SubscribeError> {
        let mut channels = Vec::with_capacity(names.len());
        for name in names {
            channels.push(self.channel(name).map_err(|missing| match missing {
                Missing::Unknown => SubscribeError::Unknown(name.clone()),
                Missing::TooMany(limit) => SubscribeError::TooManyChannels(limit),
            })?);
        }
        let settings = self.0.settings.load();
        if !lock(&self.0.rate).take(Instant::now()) {
            self.0.metrics.refuse("too-fast");
            return Err(SubscribeError::TooFast(settings.hub.connect_rate));
        }
        let limit = settings.hub.subscribers;
        if self.0.subscribers.fetch_add(1, Ordering::Relaxed) >= limit {
            self.left();
            self.0.metrics.refuse("full");
            return Err(SubscribeError::Full(limit));
        }
        Ok(Subscription::new(self, channels, from, lease))
    }

    /// Who listens to a channel; nobody, if it is not in use.
    #[must_use]
    pub fn presence(&self, name: &ChannelName) -> Presence {
        let channels = self
            .0
            .channels
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let channel = channels.get(name).cloned();
        drop(channels);
        channel
            .map(|channel| channel.presence())
            .unwrap_or_default()
    }

    /// How many subscribers there are.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.0.subscribers.load(Ordering::Relaxed)
    }

    /// The id of the newest message.
    #[must_use]
    pub fn newest(&self) -> EventId {
        self.id(self.head())
    }

    /// When to come back: the configured time, up to twice as long, so that not all come at once.
    #[must_use]
    pub fn retry(&self) -> Duration {
        let retry = self.0.settings.load().hub.retry;
        retry + retry.mul_f64(random())
    }

    /// Looks after the channels; to be called about once a second. Returns what apps are to be told.
    #[must_use]
    pub fn look_after(&self) -> Vec<Hook> {
        let now = unix_milliseconds();
        let mut hooks = Vec::new();
        for (name, channel) in self.channels_now() {
            let rules = channel.rules();
            if let Some(change) = channel.presence_change() {
                if rules.presence {
                    self.tell_presence(&name, &change);
                }
                let path = match (change.first, change.last) {
                    (true, _) => rules.on_first_join.as_ref(),
                    (_, true) => rules.on_last_leave.as_ref(),
                    _ => None,
                };
                hooks.extend(path.map(|path| Hook {
                    channel: name.clone(),
                    app: rules.app.clone(),
                    path: path.as_str().to_owned(),
                    presence: change.now,
                }));
            }
            let listening = channel.is_listened_to();
            let lost = channel.history().trim(now, listening);
            self.forget(&channel, None, lost);
        }
        self.close_unused();
        hooks
    }

    fn tell_presence(&self, name: &ChannelName, change: &channel::Change) {
        let data = serde_json::json!({
            "count": change.now.count,
            "joined": change.joined,
            "left": change.left,
        });
        let draft = Draft {
            event: Some("presence".into()),
            key: Some("presence".into()),
            data: Data::json(&data.to_string()).unwrap_or_else(|_| Data::text("")),
        };
        let _ = self.publish(name, draft);
    }

    /// Forgets channels that a pattern made, that nobody listens to and that have no message.
    fn close_unused(&self) {
        let settings = self.0.settings.load();
        let unused = |name: &ChannelName, channel: &Channel| {
            let named = settings
                .rules
                .iter()
                .any(|rules| rules.name.name().as_ref() == Some(name));
            !named && !channel.is_listened_to() && channel.history().is_empty()
        };
        let mut channels = self
            .0
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Whoever is about to join holds a second reference.
        channels.retain(|name, channel| Arc::strong_count(channel) > 1 || !unused(name, channel));
    }

    /// Tells all subscribers to leave, spread over `window`, and returns when all were told.
    pub async fn dismiss(&self, window: Duration) {
        let mut listeners: Vec<_> = Vec::new();
        for (_, channel) in self.channels_now() {
            listeners.extend(channel.listeners());
        }
        let step = window / u32::try_from(listeners.len().max(1)).unwrap_or(u32::MAX);
        let begun = tokio::time::Instant::now();
        for (count, listener) in (0..).zip(listeners) {
            listener.dismiss();
            let due = begun + step * count;
            if due > tokio::time::Instant::now() {
                tokio::time::sleep_until(due).await;
            }
        }
    }

    /// Dismisses everybody once the server stops, over half of the time it has for that.
    pub async fn drain(self, shutdown: Shutdown, grace: impl Fn() -> Duration) {
        shutdown.requested().await;
        self.dismiss(grace() / 2).await;
        // Who was about to subscribe when the others were told.
        self.dismiss(Duration::ZERO).await;
    }

    fn channels_now(&self) -> Vec<(ChannelName, Arc<Channel>)> {
        let channels = self
            .0
            .channels
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let each = channels.iter();
        each.map(|(name, channel)| (name.clone(), Arc::clone(channel)))
            .collect()
    }

    /// The channel of this name, opened if need be.
    fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, Missing> {
        let channels = self
            .0
            .channels
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(name) {
            return Ok(Arc::clone(channel));
        }
        let count = channels.len();
        drop(channels);
        let settings = self.0.settings.load();
        let rules = settings.rules_of(name).ok_or(Missing::Unknown)?;
        if rules.name.name().is_none() && count >= settings.hub.channels {
            return Err(Missing::TooMany(settings.hub.channels));
        }
        let fresh = || {
            Arc::new(Channel::new(
                name.clone(),
                rules.clone(),
                settings.hub.budget,
                self.0.metrics.of(&rules.name.to_string()),
            ))
        };
        let mut channels = self
            .0
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(
            channels.entry(name.clone()).or_insert_with(fresh),
        ))
    }

    fn head(&self) -> u64 {
        self.0.head.load(Ordering::Acquire)
    }

    fn id(&self, offset: u64) -> EventId {
        EventId {
            epoch: self.0.epoch.clone(),
            offset,
        }
    }

    fn budget(&self) -> u64 {
        self.0.settings.load().hub.budget as u64
    }

    /// A subscriber is gone.
    fn left(&self) {
        self.0.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why there is no channel.
enum Missing {
    Unknown,
    TooMany(usize),
}

/// A number from 0 to 1, to spread clients with.
fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let [low, high, ..] = RandomState::new().hash_one(0_u8).to_le_bytes();
    f64::from(u16::from_le_bytes([low, high])) / f64::from(u16::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
