//! Visitors whose streams were cut off: one who comes back soon, with the same credentials and the last id it has seen,
//! goes on from the history without a request to the app.
//!
//! A restart of a proxy or a network that fails sends all visitors at once; the app would have to answer each of them
//! what it has answered before. What the app has ended itself is not remembered. Does not know who may come in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{DATE, SET_COOKIE};
use tokio::time::Instant;

use crate::config::ChannelName;
use crate::hub::Hub;
use crate::sync::lock;

use super::filter::Filter;
use super::held::has_position;
use super::instruct::{Hold, Instruct};

/// Limit on streams that are remembered.
const MOST: usize = 100_000;

/// The hash of what makes a request the same as an earlier one.
pub type Key = [u8; 32];

/// The streams of an app that may be resumed.
#[derive(Default)]
pub struct Returning(Mutex<HashMap<Key, Arc<Entry>>>);

struct Entry(Mutex<State>);

struct State {
    instruct: Instruct,
    open: usize,
    left: Instant,
    /// True if the app or the end of a session has closed it.
    is_closed: bool,
}

/// A stream that is remembered while it lives, and for some time after.
pub(super) struct Ticket(Arc<Entry>);

impl Returning {
    /// Remembers a stream that shows its positions in the ids of its events.
    pub(super) fn remember(&self, key: Key, instruct: &Instruct) -> Option<Ticket> {
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
        let mut entries = lock(&self.0);
        if entries.len() >= MOST {
            entries.retain(|_, entry| lock(&entry.0).open > 0);
        }
        if entries.len() >= MOST {
            return None;
        }
        let fresh = State {
            instruct,
            open: 0,
            left: Instant::now(),
            is_closed: false,
        };
        // The same visitor may have several; the newest response of the app counts for all.
        let entry = entries
            .entry(key)
            .or_insert_with(|| Arc::new(Entry(Mutex::new(fresh.clone()))));
        let mut state = lock(&entry.0);
        state.instruct = fresh.instruct;
        state.is_closed = false;
        state.open += 1;
        drop(state);
        Some(Ticket(Arc::clone(entry)))
    }

    /// The instruction with which a stream goes on behind an event, if all of its channels can.
    pub(super) fn find(
        &self,
        (hub, app): (&Hub, &str),
        key: &Key,
        last_event: &str,
        within: Duration,
    ) -> Option<Instruct> {
        let mut entries = lock(&self.0);
        let entry = entries.get(key)?;
        let state = lock(&entry.0);
        let is_over = state.is_closed || (state.open == 0 && state.left.elapsed() > within);
        let mut instruct = state.instruct.clone();
        drop(state);
        if is_over {
            entries.remove(key);
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

impl Ticket {
    /// Replaces the instruction, after the app has given another.
    pub(super) fn renew(&self, instruct: &Instruct) {
        let mut state = lock(&self.0.0);
        state.instruct.channels.clone_from(&instruct.channels);
        state.instruct.meta.clone_from(&instruct.meta);
        state.instruct.next.clone_from(&instruct.next);
    }

    /// Forgets the stream: it was not cut off, but ended.
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

impl Clone for State {
    fn clone(&self) -> Self {
        Self {
            instruct: self.instruct.clone(),
            ..*self
        }
    }
}

/// Reads an id that was built in this format: the position in each channel. `None` if it is not of this format.
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

impl std::fmt::Debug for Returning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returning").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_apart_as_it_was_built() {
        let read = |format, id| {
            let mut pairs: Vec<_> = positions(format, id)?.into_iter().collect();
            pairs.sort_unstable();
            Some(pairs)
        };
        assert_eq!(
            read("a:%(x)s,b:%(y)s", "a:1,b:22"),
            Some(vec![("x", "1"), ("y", "22")])
        );
        assert_eq!(read("a%%20:%(x)s", "a%20:7"), Some(vec![("x", "7")]));
        for (format, id) in [
            ("a:%(x)s", "b:1"),
            ("a:%(x)s", "error"),
            ("a:%(x)s,b:%(y)s", "a:1"),
            ("%(x)s%(y)s", "12"),
            ("a:%(x", "a:1"),
            ("a", "ab"),
            ("%d", "1"),
        ] {
            assert_eq!(read(format, id), None, "{format} {id}");
        }
    }
}
