//! A connection that waits for messages of GRIP channels: its position in each of them, and its filters.
//!
//! It is one subscription of the hub. Each channel has an id that it continues from (`prev-id`): a message with another
//! predecessor shows that some are missing. Does not know the transport.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::config::ChannelName;
use crate::http::Lease;
use crate::hub::{End, Hub, Message, Next, SubscribeError, Subscription};
use crate::net::Peer;
use crate::shutdown::Shutdown;
use crate::telemetry::audit::AuditClient;

use super::filter::{Filter, Subscriber};
use super::instruct::Channel;
use super::item::Item;

/// The environment of a connection: the app's hub channels, the client, and its permission.
#[derive(Clone)]
pub(crate) struct HoldContext {
    /// The hub.
    pub hub: Hub,
    /// Name of the app, whose channels these are.
    pub app: Arc<str>,
    /// Key by which the client is counted.
    pub address: Option<IpAddr>,
    /// The client, for the status.
    pub peer: Peer,
    /// The client, for the audit.
    pub audit_client: AuditClient,
    /// The visitor's session, if it is known.
    pub lease: Option<Lease>,
    /// Task tracker.
    pub tasks: Shutdown,
    /// The transport, for the status.
    pub transport: &'static str,
    /// Offset of the newest message when the app was queried last; 0 if it was not.
    pub queried: u64,
}

impl HoldContext {
    /// Records that the app is queried now, so that its response covers every message that has come until now.
    pub(super) fn query(&mut self) {
        self.queried = self.hub.newest_offset();
    }
}

/// The next event of a held connection.
#[derive(Debug)]
pub(super) enum Event {
    /// A message for this connection, and the index of its channel.
    Item(Arc<Item>, usize),
    /// Messages are missing.
    Gap,
    /// The connection has to end.
    End(End),
}

/// A held connection.
pub(super) struct HeldConnection {
    subscription: Subscription,
    joined: Vec<Joined>,
    /// Messages up to this offset are covered by the app's response.
    queried: u64,
    pub(super) meta: BTreeMap<String, String>,
}

/// A channel of a held connection.
struct Joined {
    channel: Channel,
    name: ChannelName,
    /// Messages up to this offset are older than the connection.
    after: u64,
    /// Id of the last message that was sent, or the id that the app has named.
    last: Option<String>,
}

/// The item of a message, parsed once for all.
fn shared(message: &Message) -> Option<Arc<Item>> {
    let parsed: Arc<Option<Arc<Item>>> =
        message.parsed(|data| data.as_text().and_then(Item::parse).map(Arc::new));
    Option::clone(&parsed)
}

/// Id of the newest message of a channel that has one; `None` if the channel has no such message.
pub(super) fn newest_id(hub: &Hub, name: &ChannelName) -> Option<String> {
    hub.find(name, |message| shared(message)?.id.clone())
}

/// True if the history of a channel continues behind this id.
pub(super) fn has_position(hub: &Hub, name: &ChannelName, id: &str) -> bool {
    let found = hub.find(name, |message| {
        let item = shared(message)?;
        let is_here = [&item.id, &item.previous]
            .into_iter()
            .any(|one| one.as_deref() == Some(id));
        is_here.then_some(())
    });
    found.is_some()
}

impl Joined {
    /// The channel from its id on; without one, from now on.
    fn new(hold_context: &HoldContext, channel: Channel) -> Option<Self> {
        let name = ChannelName::of_grip(&hold_context.app, &channel.name)?;
        let head = hold_context.hub.newest_offset();
        let found = channel.previous.as_deref().and_then(|previous| {
            hold_context.hub.find(&name, |message| {
                let item = shared(message)?;
                if item.id.as_deref() == Some(previous) {
                    Some(message.id.offset)
                } else if item.previous.as_deref() == Some(previous) {
                    Some(message.id.offset.saturating_sub(1))
                } else {
                    None
                }
            })
        });
        Some(Self {
            after: found.unwrap_or(head),
            last: channel.previous.clone(),
            name,
            channel,
        })
    }
}

/// Subscribes at the earliest position of these channels.
fn subscribe(
    hold_context: &HoldContext,
    joined: &[Joined],
) -> Result<Subscription, SubscribeError> {
    let names: Vec<_> = joined.iter().map(|one| one.name.clone()).collect();
    let first = joined.iter().map(|one| one.after).min();
    let first = first.unwrap_or_else(|| hold_context.hub.newest_offset());
    let hub = &hold_context.hub;
    let subscription = hub.subscribe_behind(
        hold_context.address,
        &names,
        first,
        hold_context.lease.clone(),
    )?;
    Ok(subscription
        .identify(hold_context.transport, hold_context.peer)
        .audited(hold_context.audit_client.clone(), &names))
}

impl HeldConnection {
    /// Subscribes to the channels.
    pub(super) fn new(
        hold_context: &HoldContext,
        channels: Vec<Channel>,
        meta: BTreeMap<String, String>,
    ) -> Result<Self, SubscribeError> {
        Self::after(hold_context, None, channels, meta)
    }

    /// Subscribes to other channels than before. Channels that remain keep their position.
    pub(super) fn after(
        hold_context: &HoldContext,
        before: Option<&Self>,
        channels: Vec<Channel>,
        meta: BTreeMap<String, String>,
    ) -> Result<Self, SubscribeError> {
        let channels = channels.into_iter();
        let mut joined: Vec<_> = channels
            .filter_map(|one| Joined::new(hold_context, one))
            .collect();
        if let Some(before) = before {
            let position = before.subscription.position().offset;
            for joined in &mut joined {
                if let Some(old) = before.joined.iter().find(|old| old.name == joined.name) {
                    joined.after = old.after.max(position);
                    joined.last.clone_from(&old.last);
                }
            }
        }
        Ok(Self {
            subscription: subscribe(hold_context, &joined)?,
            joined,
            // A cluster's stream that was made anew since counts from 0 again.
            queried: hold_context.queried.min(hold_context.hub.newest_offset()),
            meta,
        })
    }

    /// The next message for this connection, a gap or the end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            match self.subscription.poll_next(cx) {
                Poll::Ready(Next::Message(message)) => {
                    if let Some(event) = self.take(&message) {
                        return Poll::Ready(event);
                    }
                }
                // Gaps show in the ids of messages, where the app has given any.
                Poll::Ready(Next::Reset(_) | Next::Refused(_)) => {}
                Poll::Ready(Next::End(end)) => return Poll::Ready(Event::End(end)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Ready once a connection that takes no messages at the moment has to end.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.subscription.poll_lost(cx)
    }

    fn take(&mut self, message: &Message) -> Option<Event> {
        let mut joined = self.joined.iter_mut().enumerate();
        let (index, joined) = joined.find(|(_, one)| one.name == message.channel)?;
        if message.id.offset <= joined.after {
            return None;
        }
        let item = shared(message)?;
        if joined.channel.previous.is_some() {
            if item.id.is_some() && item.id == joined.last {
                return None;
            }
            if item.previous != joined.last {
                // The app knew this message and has named what comes next: it would say the same for ever.
                return (message.id.offset > self.queried).then_some(Event::Gap);
            }
        }
        if item.id.is_some() {
            joined.last.clone_from(&item.id);
        }
        self.permits(&item, index)
            .then_some(Event::Item(item, index))
    }

    fn permits(&self, item: &Item, index: usize) -> bool {
        let channels = |name: &str| self.last_of(name);
        let subscriber = Subscriber {
            meta: &self.meta,
            channels: &channels,
        };
        let joined = self.joined.get(index);
        joined.is_some_and(|joined| {
            let mut filters = joined.channel.filters.iter();
            filters.all(|filter| filter.passes(&item.meta, subscriber))
        })
    }

    fn last_of(&self, name: &str) -> Option<&str> {
        let joined = self.joined.iter().find(|one| one.channel.name == name)?;
        Some(joined.last.as_deref().unwrap_or_default())
    }

    /// The content of a message for this connection; `None` if its content filters differ from those of the connection.
    /// An error with the reason if it cannot be made.
    pub(super) fn content(
        &self,
        index: usize,
        content: &Bytes,
        filters: &[String],
    ) -> Result<Option<Bytes>, String> {
        let Some(joined) = self.joined.get(index) else {
            return Ok(None);
        };
        let own = joined
            .channel
            .filters
            .iter()
            .filter(|one| one.is_of_content());
        let own: Vec<_> = own.copied().collect();
        if Filter::parse_all(filters)? != own {
            return Ok(None);
        }
        self.apply(&own, content).map(Some)
    }

    /// The content that the app has sent with the instruction.
    pub(super) fn initial(&self, content: &Bytes) -> Result<Bytes, String> {
        let mut filters: Vec<Filter> = Vec::new();
        for filter in self.joined.iter().flat_map(|one| &one.channel.filters) {
            if filter.is_of_content() && !filters.contains(filter) {
                filters.push(*filter);
            }
        }
        self.apply(&filters, content)
    }

    fn apply(&self, filters: &[Filter], content: &Bytes) -> Result<Bytes, String> {
        let channels = |name: &str| self.last_of(name);
        let subscriber = Subscriber {
            meta: &self.meta,
            channels: &channels,
        };
        filters.iter().try_fold(content.clone(), |content, filter| {
            filter.apply(&content, subscriber)
        })
    }

    /// Names and last ids of the channels that have one, as `Grip-Last` reports them.
    pub(super) fn lasts(&self) -> Vec<(String, String)> {
        let joined = self.joined.iter();
        joined
            .filter(|one| one.channel.previous.is_some())
            .filter_map(|one| Some((one.channel.name.clone(), one.last.clone()?)))
            .collect()
    }

    /// True if every channel shows its gaps, so that no loss goes unnoticed.
    pub(super) fn is_reliable(&self) -> bool {
        let mut joined = self.joined.iter();
        joined.any(|one| one.channel.previous.is_some())
    }

    /// Counts bytes for the audit.
    pub(super) fn moved(&mut self, up: u64, down: u64) {
        self.subscription.moved(up, down);
    }

    /// Sets the reason of the end for the audit.
    pub(super) fn because(&mut self, reason: impl Into<std::borrow::Cow<'static, str>>) {
        self.subscription.because(reason);
    }
}
