//! The history of a channel: recent messages for subscribers that come back, within the configured bounds, and for
//! connected subscribers that lag, within their budget.
//!
//! Subscribers hold no queue of their own. They walk this one, each at its own pace.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config;
use crate::hub::message::Message;

/// Time that a message beyond the configured bounds stays available to connected subscribers.
const LIVE: Duration = Duration::from_secs(30);

/// The messages of one channel, oldest first.
#[derive(Debug)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    bounds: Bounds,
    /// Number of entries at the front that are beyond the bounds and only kept for subscribers that lag.
    tail: usize,
    /// Messages and bytes within the bounds.
    kept: usize,
    kept_bytes: usize,
    tail_bytes: usize,
    /// Total bytes of all messages ever appended.
    total: u64,
    /// Highest offset that a new subscriber cannot get any more.
    floor: u64,
    /// Highest offset that no subscriber can get any more.
    dropped: u64,
    /// The newest message of each key; only with conflation.
    latest: Option<HashMap<Box<str>, u64>>,
    superseded: usize,
}

/// The bounds of a history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) size: usize,
    pub(super) age: Duration,
    /// Bytes that a connected subscriber may lag behind.
    pub(super) budget: usize,
}

#[derive(Debug)]
struct Entry {
    offset: u64,
    /// Total bytes of all messages before this one.
    start: u64,
    /// The message; `None` once a newer one with its key has replaced it.
    message: Option<Arc<Message>>,
}

impl Entry {
    fn cost(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.cost())
    }
}

/// Side effects of appending a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Appended {
    /// Offset of the message that was replaced.
    pub(super) replaced: Option<u64>,
    /// Highest offset that new subscribers have lost by it.
    pub(super) lost: Option<u64>,
}

/// The result of looking for the message after an offset.
#[derive(Debug)]
pub(super) enum Found {
    /// The next message, and the bytes of messages behind it.
    Message(Arc<Message>, u64),
    /// A gap: messages are missing up to and including this offset.
    Gap(u64),
    /// There is no further message yet.
    Nothing,
}

impl History {
    pub(super) fn new(bounds: Bounds, conflate: bool) -> Self {
        Self {
            entries: VecDeque::new(),
            bounds,
            tail: 0,
            kept: 0,
            kept_bytes: 0,
            tail_bytes: 0,
            total: 0,
            floor: 0,
            dropped: 0,
            latest: conflate.then(HashMap::new),
            superseded: 0,
        }
    }

    /// Derives the bounds from the configuration of a channel.
    pub(super) fn bounds(channel: &config::History, budget: usize) -> Bounds {
        Bounds {
            messages: channel.messages,
            size: channel.size,
            age: channel.age,
            budget,
        }
    }

    /// Replaces the bounds; messages beyond them are removed with the next append.
    pub(super) fn change(&mut self, bounds: Bounds, conflate: bool) {
        self.bounds = bounds;
        if conflate != self.latest.is_some() {
            self.latest = conflate.then(HashMap::new);
        }
    }

    /// Marks messages up to this offset as lost, without having had them.
    pub(super) fn forget_before(&mut self, offset: u64) {
        self.floor = self.floor.max(offset);
        self.dropped = self.dropped.max(offset);
    }

    /// Appends a message; `listening` is true if there are subscribers that may need messages beyond the bounds.
    pub(super) fn append(
        &mut self,
        message: Arc<Message>,
        now: Instant,
        listening: bool,
    ) -> Appended {
        let cost = message.cost();
        let offset = message.id.offset;
        let replaced = self.supersede(&message);
        self.entries.push_back(Entry {
            offset,
            start: self.total,
            message: Some(message),
        });
        self.total += cost as u64;
        self.kept += 1;
        self.kept_bytes += cost;
        Appended {
            replaced,
            lost: self.trim(now, listening),
        }
    }

    /// Removes the older message with the same key; only with conflation.
    fn supersede(&mut self, message: &Message) -> Option<u64> {
        let key = message.subject()?;
        let old = self.latest.as_mut()?.insert(key, message.id.offset)?;
        let index = self.entries.partition_point(|entry| entry.offset < old);
        let entry = self.entries.get_mut(index)?;
        if entry.offset != old {
            return None;
        }
        let cost = entry.cost();
        entry.message = None;
        if index < self.tail {
            self.tail_bytes -= cost;
        } else {
            self.kept -= 1;
            self.kept_bytes -= cost;
        }
        self.superseded += 1;
        // At most half of the entries are empty, so this costs each message no more than a few steps.
        if self.superseded > 64 + self.entries.len() / 2 {
            self.compact();
        }
        Some(old)
    }

    fn compact(&mut self) {
        let tail = self.entries.iter().take(self.tail);
        self.tail = tail.filter(|entry| entry.message.is_some()).count();
        self.entries.retain(|entry| entry.message.is_some());
        self.superseded = 0;
    }

    /// Removes messages that are beyond the bounds at this time. Returns the highest offset that new subscribers
    /// have lost by it, if any.
    pub(super) fn trim(&mut self, now: Instant, listening: bool) -> Option<u64> {
        let before = self.floor;
        while let Some(entry) = self.entries.get(self.tail) {
            let too_many = self.kept > self.bounds.messages || self.kept_bytes > self.bounds.size;
            let old = |message: &Arc<Message>| is_older(message, now, self.bounds.age);
            if !(too_many || entry.message.as_ref().is_none_or(old)) {
                break;
            }
            let (cost, offset) = (entry.cost(), entry.offset);
            if entry.message.is_some() {
                self.kept -= 1;
                self.kept_bytes -= cost;
                self.tail_bytes += cost;
                self.floor = offset;
            }
            self.tail += 1;
        }
        self.trim_tail(now, listening);
        (self.floor > before).then_some(self.floor)
    }

    fn trim_tail(&mut self, now: Instant, listening: bool) {
        while self.tail > 0 {
            let Some(entry) = self.entries.front() else {
                break;
            };
            let old = |message: &Arc<Message>| is_older(message, now, LIVE);
            let gone = !listening
                || self.tail_bytes > self.bounds.budget
                || entry.message.as_ref().is_none_or(old);
            if !gone {
                break;
            }
            self.tail -= 1;
            self.tail_bytes -= entry.cost();
            match &entry.message {
                Some(message) => {
                    self.dropped = entry.offset;
                    if let (Some(latest), Some(key)) = (&mut self.latest, message.subject())
                        && latest.get(&key) == Some(&entry.offset)
                    {
                        latest.remove(&key);
                    }
                }
                None => self.superseded = self.superseded.saturating_sub(1),
            }
            self.entries.pop_front();
        }
    }

    /// Returns the first message after `after`, up to and including `head`.
    pub(super) fn next(&self, after: u64, head: u64) -> Found {
        if after < self.dropped {
            return Found::Gap(self.dropped);
        }
        let index = self.entries.partition_point(|entry| entry.offset <= after);
        let rest = self.entries.range(index..);
        for entry in rest.take_while(|entry| entry.offset <= head) {
            if let Some(message) = &entry.message {
                return Found::Message(Arc::clone(message), self.bytes_behind(entry));
            }
        }
        Found::Nothing
    }

    /// Bytes of the messages after an entry.
    fn bytes_behind(&self, entry: &Entry) -> u64 {
        (self.total - entry.start).saturating_sub(entry.cost() as u64)
    }

    /// Returns the bytes of messages behind the next one, and whether some are lost. The next one does not count:
    /// however large it is, a subscriber that waits for it does not lag.
    pub(super) fn lag(&self, after: u64) -> (u64, bool) {
        let index = self.entries.partition_point(|entry| entry.offset <= after);
        let entry = self.entries.get(index);
        let behind = entry.map_or(0, |entry| self.bytes_behind(entry));
        (behind, after < self.dropped)
    }

    /// Offset of the last message before the newest `bytes` bytes.
    pub(super) fn newest(&self, bytes: usize) -> u64 {
        let start = self.total.saturating_sub(bytes as u64);
        let index = self.entries.partition_point(|entry| entry.start < start);
        let before = index
            .checked_sub(1)
            .and_then(|index| self.entries.get(index));
        before.map_or(self.dropped, |entry| entry.offset)
    }

    /// Highest offset that a new subscriber cannot get any more.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// The messages that a new subscriber can still get.
    pub(super) fn available(&self) -> impl DoubleEndedIterator<Item = &Arc<Message>> {
        let kept = self.entries.iter().skip(self.tail);
        kept.filter_map(|entry| entry.message.as_ref())
    }

    /// Number of messages that a new subscriber can still get.
    pub(super) fn count(&self) -> usize {
        self.kept
    }

    /// True if the history holds no message.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn is_older(message: &Message, now: Instant, age: Duration) -> bool {
    now.saturating_duration_since(message.came) > age
}

#[cfg(test)]
mod tests;
