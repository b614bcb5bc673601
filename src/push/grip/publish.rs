//! Messages of an app: the items of a POST to the control endpoint, published in the order of their ids.
//!
//! An app has many processes, and their messages overtake each other on the way. One whose predecessor (`prev-id`) has
//! not come waits for it, so that subscribers need not ask the app for what they would have got a moment later. Does
//! not know who may publish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::config::ChannelName;
use crate::hub::{Data, Draft, Hub, PublishError};
use crate::shutdown::Shutdown;
use crate::sync::lock;

use super::held::newest_id;
use super::item::Item;
use super::json::Object;

/// Time that a message waits for its predecessor, and the limits on messages that wait.
const WAIT: Duration = Duration::from_secs(5);
const MOST_WAITING: usize = 100;
const MOST_WAITING_IN_ALL: usize = 1000;
/// Time in which a second message with the same id is dropped, and the limit on ids that are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
const MOST_REMEMBERED: usize = 10_000;

/// The reason why a POST is refused as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PublishFault(String);

/// The items of a POST.
pub struct Items(Vec<Ready>);

/// An item that is ready to be published.
#[derive(Debug)]
struct Ready {
    data: Data,
    item: Item,
}

#[derive(Deserialize)]
struct Post<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

impl Items {
    /// Reads the body of a POST.
    ///
    /// # Errors
    /// [`PublishFault`] names the item and its fault; nothing of the POST may be published then.
    pub fn read(body: &[u8]) -> Result<Self, PublishFault> {
        let post: Post<'_> = serde_json::from_slice(body)
            .map_err(|error| PublishFault(format!("the body is no list of items: {error}")))?;
        let items = post.items.into_iter().enumerate().map(|(index, text)| {
            let fault = |reason: String| PublishFault(format!("item {}: {reason}", index + 1));
            let object: Object = serde_json::from_str(text.get())
                .map_err(|_| fault("it is not an object".to_owned()))?;
            let item = Item::read(&object).map_err(fault)?;
            let data = Data::raw(text);
            Ok(Ready { data, item })
        });
        items.collect::<Result<_, _>>().map(Self)
    }
}

/// The order of messages, for all GRIP apps of a server.
#[derive(Default)]
pub struct Order(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: HashMap<ChannelName, Vec<Waiting>>,
    count: usize,
    seen: HashMap<(ChannelName, String), Instant>,
}

struct Waiting {
    ready: Ready,
    since: Instant,
}

impl Order {
    /// Publishes the items of a POST. Returns when the messages are as durable as their channels promise; one that
    /// waits for its predecessor is published later.
    ///
    /// # Errors
    /// A [`PublishError`] of the first item that cannot be published; those before it were.
    pub async fn publish(
        self: &Arc<Self>,
        hub: &Hub,
        app: &str,
        items: Items,
        tasks: &Shutdown,
    ) -> Result<(), PublishError> {
        for ready in items.0 {
            let Some(name) = ChannelName::of_grip(app, &ready.item.channel) else {
                return Err(PublishError::Malformed("this is not the name of a channel"));
            };
            if self.is_repeated(&name, &ready.item) {
                continue;
            }
            match self.make_wait(hub, &name, ready) {
                None => {
                    let (order, hub) = (Arc::clone(self), hub.clone());
                    tasks.spawn(async move {
                        sleep(WAIT).await;
                        order.release_old(&hub, &name).await;
                    });
                }
                Some(ready) => {
                    let id = self.show(hub, &name, ready).await?;
                    self.release(hub, &name, id).await;
                }
            }
        }
        Ok(())
    }

    /// Publishes one message; returns its id.
    async fn show(
        &self,
        hub: &Hub,
        name: &ChannelName,
        ready: Ready,
    ) -> Result<Option<String>, PublishError> {
        let published = hub.publish_to_any(name, Draft::new(ready.data))?;
        published.acknowledged().await?;
        let id = ready.item.id;
        if let Some(id) = &id {
            self.remember(name, id);
        }
        Ok(id)
    }

    /// Publishes the messages that have waited for this id, one after the other.
    async fn release(&self, hub: &Hub, name: &ChannelName, mut id: Option<String>) {
        while let Some(ready) = id.take().and_then(|id| self.take_next(name, &id)) {
            id = self.show_late(hub, name, ready).await;
        }
    }

    /// Publishes what has waited for too long.
    async fn release_old(&self, hub: &Hub, name: &ChannelName) {
        while let Some(ready) = self.take_old(name) {
            let id = self.show_late(hub, name, ready).await;
            self.release(hub, name, id).await;
        }
    }

    async fn show_late(&self, hub: &Hub, name: &ChannelName, ready: Ready) -> Option<String> {
        match self.show(hub, name, ready).await {
            Ok(id) => id,
            Err(error) => {
                warn!(channel = %name, %error, "a message that has waited for another is lost");
                None
            }
        }
    }

    /// Keeps the message if it has to wait; otherwise returns it.
    fn make_wait(&self, hub: &Hub, name: &ChannelName, ready: Ready) -> Option<Ready> {
        let previous = ready.item.previous.as_deref();
        if ready.item.is_unordered || previous.is_none() || !hub.is_subscribed_to(name) {
            return Some(ready);
        }
        let last = newest_id(hub, name);
        if last.is_none() || last.as_deref() == previous {
            return Some(ready);
        }
        let mut state = self.state();
        if state.count >= MOST_WAITING_IN_ALL {
            return Some(ready);
        }
        let waiting = state.waiting.entry(name.clone()).or_default();
        if waiting.len() >= MOST_WAITING {
            return Some(ready);
        }
        let since = Instant::now();
        waiting.push(Waiting { ready, since });
        state.count += 1;
        None
    }

    fn take_next(&self, name: &ChannelName, id: &str) -> Option<Ready> {
        self.take(name, |waiting| {
            waiting.ready.item.previous.as_deref() == Some(id)
        })
    }

    fn take_old(&self, name: &ChannelName) -> Option<Ready> {
        self.take(name, |waiting| waiting.since.elapsed() >= WAIT)
    }

    fn take(&self, name: &ChannelName, wanted: impl Fn(&Waiting) -> bool) -> Option<Ready> {
        let mut state = self.state();
        let waiting = state.waiting.get_mut(name)?;
        let place = waiting.iter().position(wanted)?;
        let taken = waiting.remove(place);
        if waiting.is_empty() {
            state.waiting.remove(name);
        }
        state.count = state.count.saturating_sub(1);
        Some(taken.ready)
    }

    fn is_repeated(&self, name: &ChannelName, item: &Item) -> bool {
        let Some(id) = &item.id else {
            return false;
        };
        let state = self.state();
        let seen = state.seen.get(&(name.clone(), id.clone()));
        seen.is_some_and(|seen| seen.elapsed() < REMEMBERED)
    }

    fn remember(&self, name: &ChannelName, id: &str) {
        let mut state = self.state();
        if state.seen.len() >= MOST_REMEMBERED {
            state.seen.retain(|_, seen| seen.elapsed() < REMEMBERED);
        }
        if state.seen.len() < MOST_REMEMBERED {
            let key = (name.clone(), id.to_owned());
            state.seen.insert(key, Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").finish_non_exhaustive()
    }
}
