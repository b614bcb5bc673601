//! The list of subscriptions for `noren status`, and closing one of them by its number.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::clock;
use crate::hub::Hub;
use crate::hub::channel::Channel;
use crate::hub::subscriber::Subscriber;

/// A subscription, for the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionOverview {
    /// Number of the subscriber, unique in this process.
    pub id: u64,
    /// Names of the channels it subscribes to.
    pub channels: Vec<String>,
    /// Name of the transport: `websocket`, `event stream`, and so on.
    pub transport: &'static str,
    /// Address of the client; `None` on the admin socket.
    pub peer: Option<String>,
    /// User name of the visitor, as the app reports it.
    pub user: Option<String>,
    /// Number of the visitor's session.
    pub session: Option<NonZeroU64>,
    /// Start of the subscription, in Unix milliseconds.
    pub since: u64,
    /// Bytes of messages that it has not taken yet.
    pub behind: u64,
}

impl Hub {
    /// All subscriptions, oldest first. Channels are read one after another, so a row may miss a channel that its
    /// subscriber is just leaving.
    #[must_use]
    pub(crate) fn subscriptions(&self) -> Vec<SubscriptionOverview> {
        let mut rows: BTreeMap<u64, SubscriptionOverview> = BTreeMap::new();
        let mut channels = self.channels_now();
        channels.sort_by(|(name, _), (other, _)| name.as_str().cmp(other.as_str()));
        for (name, channel) in channels {
            for subscriber in channel.listeners() {
                let row = rows
                    .entry(subscriber.number)
                    .or_insert_with(|| row(&subscriber));
                row.channels.push(name.to_string());
                row.behind += lag_in(&channel, &subscriber);
            }
        }
        rows.into_values().collect()
    }

    /// Asks the subscriber with this number to leave; returns it, or `None` if there is none.
    #[must_use]
    pub(crate) fn request_end(&self, number: u64) -> Option<SubscriptionOverview> {
        let found = self.channels_now().into_iter().find_map(|(name, channel)| {
            let mut here = channel.listeners().into_iter();
            let subscriber = here.find(|one| one.number == number)?;
            Some((name, subscriber))
        });
        let (name, subscriber) = found?;
        subscriber.request_end();
        let mut row = row(&subscriber);
        row.channels.push(name.to_string());
        Some(row)
    }
}

fn row(subscriber: &Arc<Subscriber>) -> SubscriptionOverview {
    let caller = subscriber.caller();
    SubscriptionOverview {
        id: subscriber.number,
        channels: Vec::new(),
        transport: caller.map_or("admin", |(transport, _)| transport),
        peer: caller.map(|(_, peer)| peer.to_string()),
        user: subscriber.name.clone(),
        session: subscriber.session,
        since: clock::since(subscriber.since),
        behind: 0,
    }
}

fn lag_in(channel: &Channel, subscriber: &Subscriber) -> u64 {
    channel.history().lag(subscriber.position()).0
}
