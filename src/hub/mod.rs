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
mod forms;
mod history;
mod inbox;
mod message;
mod outbox;
mod overview;
mod poll;
mod rate;
mod socket;
mod sockjs;
mod sources;
mod store;
mod stream;
mod subscription;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::config::{self, ChannelName, Config, StoreKind};
use crate::http::Lease;
use crate::shutdown::Shutdown;
use crate::target::same_bytes;

pub use address::{Address, Parameters, etag};
pub use channel::Presence;
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
use store::{Acknowledgement, EpochStart, Record, Recovered, Store, StoreError};

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
}

/// Where a cursor stands.
pub(crate) struct Resumed {
    offset: u64,
    /// It was given by this run.
    this_run: bool,
}

/// Why there is no hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The file of `hub.publish-token`.
    #[error("{}: {reason}", path.display())]
    PublishToken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The histories on disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A store can only be opened at the start, before there is a first message.
    #[error(
        "history.store = \"disk\" where there was none, and hub.store, need a restart of Noren"
    )]
    StoreNeedsRestart,
}

/// What a reload replaces.
#[derive(Debug)]
struct Settings {
    hub: config::Hub,
    rules: Vec<config::Channel>,
    publish_token: Option<String>,
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

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No channel of this name is configured.
    #[error("there is no channel {0}")]
    Unknown(ChannelName),
    /// It is larger than `hub.message-size`.
    #[error("the message has {size} bytes, and hub.message-size is {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Its event name or key cannot be sent.
    #[error("{0}")]
    Malformed(&'static str),
    /// Patterns have made as many channels as they may.
    #[error("there are {0} channels already (hub.channels)")]
    TooManyChannels(usize),
    /// The disk does not take it.
    #[error("the message could not be kept: {0}")]
    NotKept(String),
}

/// Why somebody may not listen now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// No channel of this name is configured.
    #[error("there is no channel {0}")]
    Unknown(ChannelName),
    /// Patterns have made as many channels as they may.
    #[error("there are {0} channels already (hub.channels)")]
    TooManyChannels(usize),
    /// As many listen as may.
    #[error("{0} subscribers are here already (hub.subscribers)")]
    Full(usize),
    /// More come at once than may.
    #[error("more than {0} subscribers come in one second (hub.connect-rate)")]
    TooFast(u32),
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
    /// A hub with the channels of a configuration, and no message.
    ///
    /// # Errors
    /// [`HubError`] names the file, the reason, and the remedy.
    pub fn new(config: &Config) -> Result<Self, HubError> {
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

    /// Takes back what the store has kept, as far as it belongs to a channel that is still kept.
    fn restore(&self, recovered: Recovered) {
        for (name, records) in recovered.channels {
            let channel = ChannelName::parse(&name).ok();
            let channel = channel.and_then(|name| self.channel(&name).ok());
            let Some(channel) = channel.filter(|channel| channel.is_kept()) else {
                if let (Some(store), Some(last)) = (&self.0.store, records.last()) {
                    store.forget(&name, last.offset);
                }
                continue;
            };
            if let Some(forgotten) = recovered.forgotten.get(&name) {
                channel.history().forget_before(*forgotten);
            }
            for record in records {
                if let Some(message) = self.message_of(&channel.name, record) {
                    let appended = channel.append(Arc::new(message));
                    self.forget(&channel, appended.replaced, appended.lost);
                }
            }
        }
        for (name, forgotten) in recovered.forgotten {
            let channel = ChannelName::parse(&name).ok();
            let channels = self
                .0
                .channels
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(channel) = channel.and_then(|name| channels.get(&name)) {
                channel.history().forget_before(forgotten);
            }
        }
    }

    fn message_of(&self, channel: &ChannelName, record: Record) -> Option<Message> {
        let kind = match record.kind {
            store::Kind::Text => Kind::Text,
            store::Kind::Json => Kind::Json,
            store::Kind::Bytes => Kind::Bytes,
        };
        let draft = Draft {
            event: record.event,
            key: record.key,
            data: Data::stored(kind, record.data)?,
        };
        let id = self.id(record.offset);
        Some(Message::new(id, channel.clone(), draft, record.time))
    }

    /// Puts a message into the store, if its channel is kept there.
    fn keep(
        &self,
        channel: &Channel,
        message: &Message,
    ) -> Result<Option<Acknowledgement>, PublishError> {
        let Some(store) = self.0.store.as_ref().filter(|_| channel.is_kept()) else {
            return Ok(None);
        };
        let draft = &message.draft;
        let record = Record {
            offset: message.id.offset,
            event: draft.event.clone(),
            key: draft.key.clone(),
            kind: match draft.data.kind() {
                Kind::Text => store::Kind::Text,
                Kind::Json => store::Kind::Json,
                Kind::Bytes => store::Kind::Bytes,
            },
            data: draft.data.as_bytes().clone(),
            time: message.time,
        };
        let appended = store.append(channel.name.as_str(), record);
        appended
            .map(Some)
            .map_err(|error| PublishError::NotKept(error.to_string()))
    }

    /// Lets the store go of what the history has let go of.
    fn forget(&self, channel: &Channel, replaced: Option<u64>, lost: Option<u64>) {
        let Some(store) = self.0.store.as_ref().filter(|_| channel.is_kept()) else {
            return;
        };
        if let Some(offset) = replaced {
            store.remove(channel.name.as_str(), offset);
        }
        if let Some(through) = lost {
            store.forget(channel.name.as_str(), through);
        }
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
            return Err(SubscribeError::TooFast(settings.hub.connect_rate));
        }
        let limit = settings.hub.subscribers;
        if self.0.subscribers.fetch_add(1, Ordering::Relaxed) >= limit {
            self.left();
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

    /// The offset an id stands for, if it is of a sequence we know.
    fn resume(&self, id: &EventId) -> Option<Resumed> {
        if id.epoch == self.0.epoch {
            return Some(Resumed {
                offset: id.offset,
                this_run: true,
            });
        }
        let name = id.epoch.to_string();
        let run = self.0.epochs.iter().position(|run| run.epoch == name)?;
        let next = self.0.epochs.get(run + 1)?;
        // Beyond lie messages that were delivered and not kept, whose offsets were given again. Who has seen
        // them has seen all that was kept.
        Some(Resumed {
            offset: id.offset.min(next.first.saturating_sub(1)),
            this_run: false,
        })
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

impl Settings {
    fn of(config: &Config) -> Result<Self, HubError> {
        let publish_token = config.hub.publish_token.as_deref();
        Ok(Self {
            hub: config.hub.clone(),
            rules: config.channels.clone(),
            publish_token: publish_token.map(read_token).transpose()?,
        })
    }

    /// Whether any channel is kept on disk.
    fn keeps(&self) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|rules| rules.history.store == StoreKind::Disk)
    }

    /// A name before a pattern, and then the first in the file.
    fn rules_of(&self, name: &ChannelName) -> Option<&config::Channel> {
        let exact = |rules: &&config::Channel| rules.name.name().as_ref() == Some(name);
        let fitting = |rules: &&config::Channel| rules.name.fits(name);
        let rules = || self.rules.iter();
        rules().find(exact).or_else(|| rules().find(fitting))
    }
}

/// The publish token is what is in its file, without the line break an editor leaves.
fn read_token(path: &Path) -> Result<String, HubError> {
    let fault = |reason: String| HubError::PublishToken {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let token = text.trim();
    if token.len() < 16 {
        return Err(fault(
            "the publish token has fewer than 16 characters; make one with: openssl rand -hex 32"
                .to_owned(),
        ));
    }
    Ok(token.to_owned())
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
