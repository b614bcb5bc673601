//! Who listens, one row each, for those who look; and how one of them is told to leave.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::Serialize;

use crate::hub::Hub;
use crate::hub::channel::Channel;
use crate::hub::subscriber::Subscriber;
use crate::telemetry;

/// One who listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Its number, which no other subscriber of this process ever has.
    pub id: u64,
    /// The channels it listens to, by name.
    pub channels: Vec<String>,
    /// `websocket`, `event stream`, and so on.
    pub transport: &'static str,
    /// Who it is; none on the admin socket.
    pub peer: Option<String>,
    /// The name the app gives that visitor.
    pub user: Option<String>,
    /// The number of that visitor's session.
    pub session: Option<NonZeroU64>,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// The bytes of messages that it has not taken yet.
    pub behind: u64,
}

impl Hub {
    /// Who listens now, who came first first. Channels are looked at one after another, so a row may miss a
    /// channel that its subscriber is just leaving.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        let mut rows: BTreeMap<u64, Listener> = BTreeMap::new();
        let mut channels = self.channels_now();
        channels.sort_by(|(name, _), (other, _)| name.as_str().cmp(other.as_str()));
        for (name, channel) in channels {
            for subscriber in channel.listeners() {
                let row = rows
                    .entry(subscriber.number)
                    .or_insert_with(|| seen(&subscriber));
                row.channels.push(name.to_string());
                row.behind += behind(&channel, &subscriber);
            }
        }
        rows.into_values().collect()
    }

    /// Tells the one with this number to leave; none if there is none.
    #[must_use]
    pub fn ask_to_leave(&self, number: u64) -> Option<Listener> {
        let found = self.channels_now().into_iter().find_map(|(name, channel)| {
            let mut here = channel.listeners().into_iter();
            let subscriber = here.find(|one| one.number == number)?;
            Some((name, subscriber))
        });
        let (name, subscriber) = found?;
        subscriber.ask_to_leave();
        let mut row = seen(&subscriber);
        row.channels.push(name.to_string());
        Some(row)
    }
}

fn seen(subscriber: &Arc<Subscriber>) -> Listener {
    let caller = subscriber.caller();
    Listener {
        id: subscriber.number,
        channels: Vec::new(),
        transport: caller.map_or("admin", |(transport, _)| transport),
        peer: caller.map(|(_, peer)| peer.to_string()),
        user: subscriber.name.clone(),
        session: subscriber.session,
        since: telemetry::since(subscriber.since),
        behind: 0,
    }
}

fn behind(channel: &Channel, subscriber: &Subscriber) -> u64 {
    channel.history().lag(subscriber.place()).0
}
