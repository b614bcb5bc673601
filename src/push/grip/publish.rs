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
use crate::hub::{Data, Draft, Hub, PublishError, PublisherId};
use crate::shutdown::Shutdown;
use crate::sync::lock;

use super::held::newest_id;
use super::item::Item;
use super::json::Object;

/// Time that a message waits for its predecessor, and limits on waiting messages.
const WAIT: Duration = Duration::from_secs(5);
const MOST_WAITING: usize = 100;
const MOST_WAITING_IN_ALL: usize = 1000;

/// The reason why a POST is refused as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PublishFault(String);

/// The items of a POST.
pub(crate) struct Items(Vec<Ready>);

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

impl Ready {
    /// The message of the hub. Its id is the app's, so that a repetition is recognized, also after a restart.
    fn draft(&self) -> Draft {
        let id = self.item.id.as_deref();
        Draft {
            id: id.map(PublisherId::of_grip),
            ..Draft::new(self.data.clone())
        }
    }
}

impl Items {
    /// Reads the body of a POST.
    ///
    /// # Errors
    /// [`PublishFault`] names the item and its fault; nothing of the POST may be published then.
    pub(crate) fn read(body: &[u8]) -> Result<Self, PublishFault> {
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
pub(crate) struct Order(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: HashMap<ChannelName, Vec<Waiting>>,
    count: usize,
    /// True once this process publishes no more, and no message waits any longer.
    is_closed: bool,
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
    pub(crate) async fn publish(
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
            match self.make_wait(hub, &name, ready) {
                None => {
                    let (order, hub) = (Arc::clone(self), hub.clone());
                    tasks.spawn(async move {
                        sleep(WAIT).await;
                        order.release_old(&hub, &name).await;
                    });
                }
                Some(ready) => {
                    let id = Self::show(hub, &name, ready).await?;
                    self.release(hub, &name, id).await;
                }
            }
        }
        Ok(())
    }

    /// Publishes one message; returns its id. The channel recognizes a repeated id.
    async fn show(
        hub: &Hub,
        name: &ChannelName,
        ready: Ready,
    ) -> Result<Option<String>, PublishError> {
        let published = hub.publish_to_any(name, ready.draft())?;
        published.acknowledged().await?;
        Ok(ready.item.id)
    }

    /// Publishes the messages that have waited for this id, one after the other.
    async fn release(&self, hub: &Hub, name: &ChannelName, mut id: Option<String>) {
        while let Some(ready) = id.take().and_then(|id| self.take_next(name, &id)) {
            id = Self::show_late(hub, name, ready).await;
        }
    }

    /// Publishes the items whose waiting time is over.
    async fn release_old(&self, hub: &Hub, name: &ChannelName) {
        while let Some(ready) = self.take_old(name) {
            let id = Self::show_late(hub, name, ready).await;
            self.release(hub, name, id).await;
        }
    }

    async fn show_late(hub: &Hub, name: &ChannelName, ready: Ready) -> Option<String> {
        match Self::show(hub, name, ready).await {
            Ok(id) => id,
            Err(error) => {
                warn!(channel = %name, %error, "a message that has waited for another is lost");
                None
            }
        }
    }

    /// Publishes all waiting messages before the hub is handed over: the app was told that they are published, and
    /// subscribers see by the ids that others are missing. After this no message waits.
    pub(crate) fn close(&self, hub: &Hub) {
        let mut state = self.state();
        state.is_closed = true;
        state.count = 0;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for (name, waiting) in waiting {
            for waiting in waiting {
                if let Err(error) = hub.publish_to_any(&name, waiting.ready.draft()) {
                    warn!(channel = %name, %error, "a message that has waited for another is lost");
                }
            }
        }
    }

    /// Reverts [`close`](Self::close).
    pub(crate) fn open(&self) {
        self.state().is_closed = false;
    }

    /// Keeps the message if it has to wait; otherwise returns it. A message that is already waiting is not kept twice.
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
        if state.is_closed || state.count >= MOST_WAITING_IN_ALL {
            return Some(ready);
        }
        let waiting = state.waiting.entry(name.clone()).or_default();
        if waiting.len() >= MOST_WAITING {
            return Some(ready);
        }
        let id = &ready.item.id;
        if id.is_some() && waiting.iter().any(|one| one.ready.item.id == *id) {
            return None;
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

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_message_that_waits_is_kept_once_and_published_before_the_hub_moves() {
        let text = "[[app]]\nname = 'a'\nurl = 'http://127.0.0.1:1'\n[app.grip]\nkeys = ['k']\n";
        let config = Config::parse(text, "test").expect("a configuration");
        let hub = Hub::new(&config, None).expect("a hub");
        let name = ChannelName::of_grip("a", "room").expect("a name");
        let names = std::slice::from_ref(&name);
        let _subscriber = hub.subscribe_behind(None, names, 0, None).expect("room");
        let (order, tasks) = (Arc::new(Order::default()), Shutdown::new());
        let post = async |id: &str, previous: &str| {
            let body = serde_json::json!({"items": [{
                "channel": "room", "id": id, "prev-id": previous, "http-stream": {"content": id}
            }]});
            let items = Items::read(body.to_string().as_bytes()).expect("items");
            let done = order.publish(&hub, "a", items, &tasks).await;
            done.expect("published, or it waits");
        };
        let ids = || {
            let mut ids = Vec::new();
            let _: Option<()> = hub.find(&name, |message| {
                let item = message.draft.data.as_text().and_then(Item::parse);
                ids.extend(item.and_then(|item| item.id));
                None
            });
            ids
        };
        post("1", "0").await;
        for _ in 0..3 {
            post("3", "2").await;
        }
        assert_eq!(ids(), ["1"]);
        order.close(&hub);
        assert_eq!(ids(), ["3", "1"]);
        post("5", "4").await;
        post("3", "2").await;
        assert_eq!(
            ids(),
            ["5", "3", "1"],
            "nothing waits, and nothing comes twice"
        );
    }
}
