//! The hub of the Mercure protocol (<https://mercure.rocks/spec>): apps publish updates of topics by POST, and pages
//! subscribe to topics with an `EventSource`. Versions 0.x, which the libraries of today speak, and 1.0.
//!
//! All updates lie in one channel of the hub, so that their history, on disk or in a cluster, their order and their
//! limits are those of all channels. Each subscriber walks that history and gets what its selectors match; a private
//! update only if its token permits one of the update's topics, in the history as well as live.
//!
//! Must not know requests: tokens and permissions are checked above.

mod audience;
mod characters;
mod claims;
mod cursors;
mod pattern;
mod publication;
mod request;
mod rules;
mod selector;
mod stream;
mod subscriptions;
mod template;
mod update;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::config::{ChannelName, MercureVersion};
use crate::http::{Body, Lease};
use crate::hub::{Data, Draft, Hub, PublishError, PublisherId, SubscribeError};
use crate::net::{Peer, random};
use crate::telemetry::audit::AuditClient;

pub(crate) use claims::{ClaimFault, Claims, DETAIL, Grant};
pub(crate) use publication::{FormFault, Publication};
pub(crate) use request::Order;
pub(crate) use rules::Rules;
pub(crate) use selector::SelectorKind;
pub(crate) use subscriptions::Filter;
pub(crate) use update::Update;

use audience::Audiences;
use cursors::{Cursor, Cursors};
use publication::{EARLIEST, fresh_id};
use stream::Times;
use subscriptions::{Subscribed, Subscriber, Subscriptions};

/// Scope of the ids by which a repeated update is known.
const SCOPE: &[u8] = b"mercure";
/// Time that a client with an unknown cursor waits for its update, which may be on its way from another node of the
/// cluster; and the time between two looks.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);
/// Fraction of the lifetime by which streams end earlier at random, so that they do not all reconnect at once.
const SPREAD: f64 = 0.2;

/// A hub of the Mercure protocol. Clones are the same hub.
#[derive(Clone)]
pub(crate) struct MercureHub(Arc<Shared>);

struct Shared {
    hub: Hub,
    channel: ChannelName,
    rules: Arc<Rules>,
    memory: MercureMemory,
}

/// The parts of a hub that outlive a reload, as its subscribers do. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct MercureMemory(Arc<State>);

#[derive(Default)]
struct State {
    audiences: Audiences,
    cursors: Cursors,
    subscriptions: Subscriptions,
}

/// A client that subscribes.
#[derive(Debug)]
pub(crate) struct Client {
    /// Key by which it is counted.
    pub address: Option<IpAddr>,
    /// The client, for the status.
    pub peer: Peer,
    /// The client, for the audit.
    pub audited_as: AuditClient,
    /// The permission that limits its stream: that of its token or of its session.
    pub lease: Option<Lease>,
}

impl MercureHub {
    /// Creates a hub. `None` if the name of its channel is invalid, which cannot happen.
    #[must_use]
    pub(crate) fn new(hub: &Hub, rules: Rules, memory: &MercureMemory) -> Option<Self> {
        Some(Self(Arc::new(Shared {
            hub: hub.clone(),
            channel: ChannelName::of_mercure()?,
            rules: Arc::new(rules),
            memory: memory.clone(),
        })))
    }

    /// The rules.
    #[must_use]
    pub(crate) fn rules(&self) -> &Arc<Rules> {
        &self.0.rules
    }

    /// Publishes an update, and waits until it is as durable as the history promises. Returns its id.
    ///
    /// A repeated update with the publisher's own id is published once: it has to be the same, since an id that is used
    /// again for another update is a fault of the publisher, and no reason to lose an update.
    ///
    /// # Errors
    /// A [`PublishError`] gives the reason; nobody has seen the update then.
    pub(crate) async fn publish(&self, publication: Publication) -> Result<String, PublishError> {
        let Publication { update, own_id } = publication;
        let draft = draft(&update, own_id);
        let published = self.0.hub.publish_to_any(&self.0.channel, draft)?;
        published.acknowledged().await?;
        Ok(update.id)
    }

    /// Waits for the update that a cursor names. A client that moves to another node of a cluster at once has seen an
    /// update that this node may not have read yet, and would get the whole history again.
    pub(crate) async fn await_cursor(&self, order: &Order) {
        let Shared {
            hub,
            channel,
            memory: MercureMemory(state),
            ..
        } = &*self.0;
        let Some(id) = &order.last_event_id else {
            return;
        };
        if id == EARLIEST || !hub.follows_stream() {
            return;
        }
        let end = Instant::now() + ON_ITS_WAY;
        while matches!(state.cursors.find(hub, channel, id), Cursor::Earliest(_))
            && Instant::now() < end
        {
            sleep(LOOK).await;
        }
    }

    /// Subscribes a client. Returns the stream, and the cursor for the header if the client has sent one.
    ///
    /// # Errors
    /// A [`SubscribeError`] says which limit is reached.
    pub(crate) fn subscribe(
        &self,
        order: Order,
        grant: Option<Grant>,
        client: Client,
    ) -> Result<(Response<Body>, Option<String>), SubscribeError> {
        let Shared {
            hub,
            channel,
            rules,
            memory: MercureMemory(state),
        } = &*self.0;
        let (offset, cursor) = self.position(order.last_event_id);
        let names = std::slice::from_ref(channel);
        let subscription = hub
            .subscribe_behind(client.address, names, offset, client.lease)?
            .identify("mercure", client.peer)
            .audited(client.audited_as, names);
        let payloads = grant.as_ref().map(|grant| &grant.payloads);
        let told = rules.settings.subscriptions.then(|| {
            let subscribed = order.selectors.iter().map(|selector| Subscribed {
                kind: selector.kind,
                text: selector.text.clone(),
                payload: payloads.and_then(|payloads| payloads.of(selector, rules)),
            });
            let person = Subscriber {
                id: fresh_id(),
                version: order.version,
                subscribed: subscribed.collect(),
            };
            AnnouncedSubscriber::new(self, person)
        });
        let permitted = grant.map(|grant| grant.subscribe).unwrap_or_default();
        let audience = state.audiences.of(rules, order.selectors, permitted);
        let times = Times {
            heartbeat: hub.settings().keep_alive,
            lifetime: rules.settings.lifetime.map(spread),
            retry: hub.retry(),
        };
        Ok((stream::respond(subscription, audience, times, told), cursor))
    }

    /// The starting position, and the cursor for the response: the id of the update before, or `earliest`.
    fn position(&self, last_event_id: Option<String>) -> (u64, Option<String>) {
        let Some(id) = last_event_id else {
            return (self.0.hub.newest_offset(), None);
        };
        // No update has `earliest` as its id.
        let cursor = self
            .0
            .memory
            .0
            .cursors
            .find(&self.0.hub, &self.0.channel, &id);
        match cursor {
            Cursor::After(offset) => (offset, Some(id)),
            Cursor::Earliest(offset) => (offset, Some(EARLIEST.to_owned())),
        }
    }

    /// The cursor that a client would get in the header of a stream.
    #[must_use]
    pub(crate) fn cursor(&self, order: &Order) -> Option<String> {
        self.position(order.last_event_id.clone()).1
    }

    /// The id of the newest update, or `earliest`.
    #[must_use]
    pub(crate) fn last_event_id(&self) -> String {
        let newest = self.0.memory.0.cursors.newest(&self.0.hub, &self.0.channel);
        newest.unwrap_or_else(|| EARLIEST.to_owned())
    }

    /// The document of the subscriptions that pass a filter, at this address. `None` if a requested subscription does
    /// not exist.
    #[must_use]
    pub(crate) fn subscriptions(
        &self,
        version: MercureVersion,
        url: &str,
        last: &str,
        filter: Filter<'_>,
    ) -> Option<Value> {
        let path = &self.0.rules.settings.path;
        let all = &self.0.memory.0.subscriptions;
        let mut documents = all.documents(path, version, filter);
        if filter.subscriber.is_some() {
            let document = documents.pop()?;
            return Some(subscriptions::single(version, last, document));
        }
        Some(subscriptions::collection(version, url, last, &documents))
    }
}

/// A lifetime less up to a fifth.
fn spread(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(lifetime.mul_f64(SPREAD * random()))
}

/// An update as a message of the hub.
fn draft(update: &Update, own_id: bool) -> Draft {
    // Texts, numbers and flags: there is nothing that cannot be written.
    let text = serde_json::to_string(update).unwrap_or_default();
    Draft {
        id: own_id.then(|| PublisherId::scoped(SCOPE, &text)),
        ..Draft::new(Data::text(text))
    }
}

/// An announced subscriber; dropping it announces its end.
struct AnnouncedSubscriber {
    hub: MercureHub,
    subscriber: Arc<Subscriber>,
}

impl AnnouncedSubscriber {
    fn new(hub: &MercureHub, subscriber: Subscriber) -> Self {
        let told = Self {
            hub: hub.clone(),
            subscriber: Arc::new(subscriber),
        };
        hub.0.memory.0.subscriptions.add(&told.subscriber);
        told.publish(true);
        told
    }

    fn publish(&self, active: bool) {
        let Shared {
            hub,
            channel,
            rules,
            ..
        } = &*self.hub.0;
        for update in self.subscriber.updates(&rules.settings.path, active) {
            // Nobody waits for it to be on the disk.
            if let Err(error) = hub.publish_to_any(channel, draft(&update, false)) {
                warn!(%error, "a subscription event could not be published");
                return;
            }
        }
    }
}

impl Drop for AnnouncedSubscriber {
    fn drop(&mut self) {
        self.hub.0.memory.0.subscriptions.remove(&self.subscriber);
        self.publish(false);
    }
}

impl fmt::Debug for MercureMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MercureMemory").finish_non_exhaustive()
    }
}

impl fmt::Debug for MercureHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MercureHub").finish_non_exhaustive()
    }
}
