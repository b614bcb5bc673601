//! Visitors who reconnect after a loss. If they come soon, with the same credentials and the last id that they have
//! seen, their stream continues from the history without a request to the app.
//!
//! After a restart of a proxy or a network failure all visitors reconnect at once, and the app would have to answer
//! each of them as before. A stream that the app has ended itself is not remembered. Does not check permissions.
//!
//! Memory is bounded in all and for each address. Old streams are dropped; the visitor of a dropped stream is a request
//! to the app.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{DATE, SET_COOKIE};
use tokio::time::Instant;

use crate::config::ChannelName;
use crate::hub::Hub;
use crate::shares::{Client, Parts, Share, Shares};
use crate::sync::lock;

use super::filter::Filter;
use super::held::has_position;
use super::instruct::{Hold, Instruct};

/// Limit on the memory for an app's streams, of which one address has its share.
const MOST: u64 = 64 << 20;
/// Memory of a stream besides its texts.
const OVERHEAD: usize = 1024;
/// Number of streams up to which expired ones are not removed.
const FEW: usize = 256;

/// Hash of the properties of a request by which it is recognised as a repetition.
pub(crate) type Key = [u8; 32];

/// The streams of an app that may be resumed.
pub(crate) struct ResumableStreams {
    entries: Mutex<Entries>,
    memory: Shares,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<Key, Arc<Entry>>,
    /// Number of streams at which expired ones are removed next.
    full: usize,
}

struct Entry(Mutex<State>);

struct State {
    instruct: Instruct,
    open: usize,
    left: Instant,
    /// True if the app or the end of a session has closed it.
    is_closed: bool,
    /// The memory of the client that opened it first.
    memory: Share,
}

/// A stream that is remembered while it is open, and for some time after.
pub(super) struct Ticket(Arc<Entry>);

impl ResumableStreams {
    /// A memory budget with shares for clients.
    #[must_use]
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            entries: Mutex::default(),
            memory: Shares::new(MOST, parts),
        }
    }

    /// Changes the shares of clients.
    pub(crate) fn change(&self, parts: Parts) {
        self.memory.change(MOST, parts);
    }

    /// Remembers a stream whose event ids show its positions, for the time `within` after its end. Returns `None` if it
    /// is not remembered, for example because the client has used its share.
    pub(super) fn remember(
        &self,
        key: Key,
        client: Client,
        instruct: &Instruct,
        within: Duration,
    ) -> Option<Ticket> {
        let sets_cookies = instruct.answer.headers.contains_key(SET_COOKIE);
        if instruct.hold != Some(Hold::Stream)
            || sets_cookies
            || !instruct.meta.contains_key("id_format")
        {
            return None;
        }
        let mut instruct = instruct.clone();
        instruct.answer.body = bytes::Bytes::new();
        instruct.answer.headers.remove(DATE);
        let weight = weight(&instruct);
        let mut entries = lock(&self.entries);
        if entries.by_key.len() >= entries.full.max(FEW) {
            entries.forget_old(within);
        }
        // The same visitor may have several; the newest response of the app counts for all.
        if let Some(entry) = entries.by_key.get(&key) {
            let mut state = lock(&entry.0);
            if state.hold(weight) {
                state.instruct = instruct;
                state.is_closed = false;
                state.open += 1;
                return Some(Ticket(Arc::clone(entry)));
            }
            drop(state);
            entries.by_key.remove(&key);
            return None;
        }
        let memory = self.memory.take(client, weight).or_else(|_| {
            entries.forget_old(within);
            self.memory.take(client, weight)
        });
        let state = State {
            instruct,
            open: 1,
            left: Instant::now(),
            is_closed: false,
            memory: memory.ok()?,
        };
        let entry = Arc::new(Entry(Mutex::new(state)));
        entries.by_key.insert(key, Arc::clone(&entry));
        Some(Ticket(entry))
    }

    /// The instruction to continue a stream behind an event, if all of its channels permit that.
    pub(super) fn find(
        &self,
        (hub, app): (&Hub, &str),
        key: &Key,
        last_event: &str,
        within: Duration,
    ) -> Option<Instruct> {
        let mut entries = lock(&self.entries);
        let entry = entries.by_key.get(key)?;
        let state = lock(&entry.0);
        let is_over = state.is_over(within);
        let mut instruct = state.instruct.clone();
        drop(state);
        if is_over {
            entries.by_key.remove(key);
            return None;
        }
        drop(entries);
        let positions = positions(instruct.meta.get("id_format")?, last_event)?;
        for channel in &mut instruct.channels {
            let position = positions.get(channel.name.as_str());
            if let Some(position) = position {
                let name = ChannelName::of_grip(app, &channel.name)?;
                if !has_position(hub, &name, position) {
                    return None;
                }
                channel.previous = Some((*position).to_owned());
            } else if channel.filters.contains(&Filter::BuildId) {
                return None;
            }
        }
        Some(instruct)
    }
}

impl Entries {
    /// Forgets the streams that have expired.
    fn forget_old(&mut self, within: Duration) {
        self.by_key
            .retain(|_, entry| !lock(&entry.0).is_over(within));
        // So that looking through all costs little for each.
        self.full = self.by_key.len().saturating_mul(2);
    }
}

impl State {
    fn is_over(&self, within: Duration) -> bool {
        self.is_closed || (self.open == 0 && self.left.elapsed() > within)
    }

    /// Reserves this much memory, if the client's share permits it.
    fn hold(&mut self, weight: u64) -> bool {
        let held = self.memory.held();
        if weight > held {
            return self.memory.take(weight - held).is_ok();
        }
        self.memory.give_back(held - weight);
        true
    }
}

/// Approximate memory of an instruction without its body.
fn weight(instruct: &Instruct) -> u64 {
    let headers = instruct.answer.headers.iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + 64);
    let values = instruct.meta.iter();
    let values = values.map(|(name, value)| name.len() + value.len() + 96);
    let channels = instruct.channels.iter().map(|channel| {
        let previous = channel.previous.as_ref().map_or(0, String::len);
        channel.name.len() + previous + channel.filters.len() * 16 + 96
    });
    let links = [
        instruct.next.as_ref().map(|link| link.uri.len()),
        instruct.gone.as_ref().map(String::len),
        instruct
            .keep_alive
            .as_ref()
            .map(|heartbeat| heartbeat.content.len()),
    ];
    let texts = headers.chain(values).chain(channels);
    let texts = texts.chain(links.into_iter().flatten()).sum::<usize>();
    (texts + OVERHEAD) as u64
}

impl Ticket {
    /// Replaces the instruction by a new one of the app. A stream whose instruction exceeds the client's share is not
    /// remembered any more.
    pub(super) fn renew(&self, instruct: &Instruct) {
        let mut state = lock(&self.0.0);
        if !state.hold(weight(instruct)) {
            state.is_closed = true;
            return;
        }
        state.instruct.channels.clone_from(&instruct.channels);
        state.instruct.meta.clone_from(&instruct.meta);
        state.instruct.next.clone_from(&instruct.next);
    }

    /// Forgets the stream, because it has ended regularly.
    pub(super) fn close(&self) {
        lock(&self.0.0).is_closed = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.open = state.open.saturating_sub(1);
        state.left = Instant::now();
    }
}

/// Reads an id that was built in this format: the position in each channel. `None` for an id in another format.
fn positions<'a>(format: &'a str, id: &'a str) -> Option<HashMap<&'a str, &'a str>> {
    let (mut found, mut format, mut id) = (HashMap::new(), format, id);
    while !format.is_empty() {
        if let Some(rest) = format.strip_prefix("%(") {
            let (name, rest) = rest.split_once(")s")?;
            // The position ends where the next literal text begins.
            let literal = rest.split('%').next().unwrap_or_default();
            let end = if rest.is_empty() {
                id.len()
            } else if literal.is_empty() {
                return None;
            } else {
                id.find(literal)?
            };
            let (position, behind) = id.split_at_checked(end)?;
            found.insert(name, position);
            (format, id) = (rest, behind);
        } else if let Some(rest) = format.strip_prefix("%%") {
            (format, id) = (rest, id.strip_prefix('%')?);
        } else {
            let end = format.find('%').unwrap_or(format.len());
            let (literal, rest) = format.split_at_checked(end)?;
            (format, id) = (rest, id.strip_prefix(literal).filter(|_| end > 0)?);
        }
    }
    id.is_empty().then_some(found)
}

impl std::fmt::Debug for ResumableStreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returning").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
