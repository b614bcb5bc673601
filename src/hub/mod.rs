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
mod poll;
mod rate;
mod socket;
mod stream;
mod subscription;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::config::{self, ChannelName, Config};
use crate::shutdown::Shutdown;
use crate::target::same_bytes;

pub use address::{Address, Parameters, etag};
pub use channel::Presence;
pub use forms::Format;
pub use inbox::{Outcome, Receiver};
pub use message::{Data, Draft, Epoch, EventId, From, Kind, Message};
pub use poll::{Wait, poll};
pub use socket::{Form, Listening, open_socket};
pub use stream::{event_stream, set_headers};
pub use subscription::{End, Subscription};

use channel::Channel;
use message::unix_milliseconds;
use rate::Rate;

/// All channels of a server. Clones are the same hub; it outlives a reload.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    epoch: Epoch,
    settings: ArcSwap<Settings>,
    channels: RwLock<HashMap<ChannelName, Arc<Channel>>>,
    /// The last offset given away. Held while a message gets its place.
    sequence: Mutex<u64>,
    /// The last offset whose message is in its history.
    head: AtomicU64,
    subscribers: AtomicUsize,
    rate: Mutex<Rate>,
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
        let hub = Self(Arc::new(Shared {
            epoch: Epoch::new(),
            settings: ArcSwap::from_pointee(Settings::of(config)?),
            channels: RwLock::default(),
            sequence: Mutex::new(0),
            head: AtomicU64::new(0),
            subscribers: AtomicUsize::new(0),
            rate: Mutex::new(Rate::new(config.hub.connect_rate)),
        }));
        hub.open_named();
        Ok(hub)
    }

    /// Takes another configuration. Subscribers stay, even of a channel that is not in it any more.
    ///
    /// # Errors
    /// [`HubError`]; nothing has changed then.
    pub fn reload(&self, config: &Config) -> Result<(), HubError> {
        let settings = Settings::of(config)?;
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

    /// True if no channel is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.settings.load().rules.is_empty()
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
        channel.append(Arc::new(message));
        *sequence += 1;
        self.0.head.store(*sequence, Ordering::Release);
        drop(sequence);
        channel.wake();
        Ok(Published { id })
    }

    /// Listens to channels; `name` is who it is, where that is known.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(
        &self,
        names: &[ChannelName],
        from: From,
        name: Option<String>,
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
        Ok(Subscription::new(self, channels, from, name))
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
            channel.history().trim(now, listening);
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
    fn resume(&self, id: &EventId) -> Option<u64> {
        (id.epoch == self.0.epoch).then_some(id.offset)
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
