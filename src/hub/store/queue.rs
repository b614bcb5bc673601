//! Queue for the disk: messages, each with a sender for its result, and records to remove.
//!
//! The bound covers queued messages *and* those being written, so that a disk that hangs in a commit cannot make
//! memory grow either. Removals do not wake the writer: they are part of the next message's commit.
//!
//! Must not know the file.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Record, StoreError, encoding};

use crate::hub::publisher_id::Unique;
use crate::sync::lock;

/// Limit on queued messages. A slow disk commits in 5 ms; at that rate three million messages a second would have
/// to be published to reach it.
const RECORDS: usize = 16_384;

/// Limit on their bytes: the memory that a stalled disk may cost.
const BYTES: usize = 64 << 20;

/// Limit on queued single removals. Further ones are dropped: a superseded record is then found again after a
/// restart, before the one that superseded it.
const REMOVALS: usize = 65_536;

/// Approximate memory cost of a queued message beside its text and data.
const OVERHEAD: usize = 160;

/// A queued message, with the sender of its result.
#[derive(Debug)]
pub(crate) struct Append {
    /// Name of the channel.
    pub channel: Box<str>,
    /// The message. Its offset is assigned right before it is written.
    pub record: Record,
    /// The time for which its publisher id is used for no other message.
    pub unique: Unique,
    /// Offset of the earlier message with its id, if there is one: it is not written then.
    pub repeats: Option<u64>,
    /// Publish time on the monotonic clock.
    pub came: Instant,
    /// Receives the offset once the message is on the disk and visible, or the error.
    pub done: oneshot::Sender<Result<u64, StoreError>>,
}

/// Records to remove.
#[derive(Debug, Default)]
pub(super) struct Trims {
    /// Highest offset to remove in each channel.
    pub forgotten: BTreeMap<Box<str>, u64>,
    /// Highest offset of each channel whose publisher id is to be removed.
    pub ids: BTreeMap<Box<str>, u64>,
    /// Single records, by channel and offset.
    pub removed: Vec<(Box<str>, u64)>,
}

/// The queued messages and removals, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Messages to write.
    pub appends: Vec<Append>,
    /// Records to remove after the messages are written.
    pub trims: Trims,
    /// True if messages were refused since the last batch.
    pub overflowed: bool,
}

/// Reasons why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The queue is full.
    Full {
        /// True for the first refusal since a message was accepted.
        first: bool,
    },
    /// The writer thread has ended.
    Ended,
}

/// The queue between all publishers and the one writer thread.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    end: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    /// Number of messages queued or being written.
    records: usize,
    bytes: usize,
    closed: bool,
    ended: bool,
}

impl Trims {
    /// Removes all records of a channel up to an offset.
    pub(super) fn forget(&mut self, channel: &str, through: u64) {
        raise(&mut self.forgotten, channel, through);
    }

    /// Removes all publisher ids of a channel up to an offset.
    pub(super) fn forget_ids(&mut self, channel: &str, through: u64) {
        raise(&mut self.ids, channel, through);
    }

    /// Removes one record.
    pub(super) fn remove(&mut self, channel: &str, offset: u64) {
        if self.removed.len() < REMOVALS {
            self.removed.push((channel.into(), offset));
        }
    }

    /// Merges later removals.
    pub(super) fn merge(&mut self, later: Self) {
        for (channel, through) in later.forgotten {
            self.forget(&channel, through);
        }
        for (channel, through) in later.ids {
            self.forget_ids(&channel, through);
        }
        let room = REMOVALS.saturating_sub(self.removed.len());
        self.removed.extend(later.removed.into_iter().take(room));
    }

    fn is_empty(&self) -> bool {
        self.forgotten.is_empty() && self.ids.is_empty() && self.removed.is_empty()
    }
}

fn raise(marks: &mut BTreeMap<Box<str>, u64>, channel: &str, through: u64) {
    if let Some(highest) = marks.get_mut(channel) {
        *highest = through.max(*highest);
    } else {
        marks.insert(channel.into(), through);
    }
}

impl Append {
    /// True if the message does not repeat an earlier one.
    pub(crate) fn is_new(&self) -> bool {
        self.repeats.is_none()
    }

    pub(crate) fn weight(&self) -> usize {
        OVERHEAD + self.channel.len() + encoding::weight(&self.record)
    }
}

impl Queue {
    /// Queues a message. An empty queue accepts a message of any size, or a large one could never be stored.
    pub(super) fn push(&self, append: Append) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.ended {
            return Err(Refused::Ended);
        }
        let weight = append.weight();
        let full = state.records >= RECORDS || state.bytes.saturating_add(weight) > BYTES;
        if full && state.records > 0 {
            let first = !std::mem::replace(&mut state.waiting.overflowed, true);
            return Err(Refused::Full { first });
        }
        state.records += 1;
        state.bytes = state.bytes.saturating_add(weight);
        state.waiting.appends.push(append);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Changes the queued removals.
    pub(super) fn trim(&self, change: impl FnOnce(&mut Trims)) {
        change(&mut self.lock().waiting.trims);
    }

    /// Waits for messages and takes all of them; after [`close`](Self::close) the remaining ones, and then `None`.
    /// With a limit it waits no longer, and the batch may have no messages.
    pub(super) fn take(&self, limit: Option<Duration>) -> Option<Batch> {
        let idle = |state: &mut State| state.waiting.appends.is_empty() && !state.closed;
        let mut state = match limit {
            None => self
                .wake
                .wait_while(self.lock(), idle)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let waited = self.wake.wait_timeout_while(self.lock(), limit, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let batch = std::mem::take(&mut state.waiting);
        let over = state.closed && batch.appends.is_empty() && batch.trims.is_empty();
        (!over).then_some(batch)
    }

    /// Reports the result of these messages, and frees their room in the queue.
    pub(super) fn report_results(&self, appends: Vec<Append>, result: &Result<(), StoreError>) {
        let mut state = self.lock();
        state.records = state.records.saturating_sub(appends.len());
        let bytes = appends.iter().map(Append::weight).sum();
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        for append in appends {
            // A publisher that does not wait has dropped its end.
            let offset = append.repeats.unwrap_or(append.record.offset);
            let _ = append.done.send(result.clone().map(|()| offset));
        }
    }

    /// Closes the queue: the thread writes what is left and ends. False if it was closed already.
    pub(super) fn close(&self) -> bool {
        let before = std::mem::replace(&mut self.lock().closed, true);
        self.wake.notify_all();
        !before
    }

    /// Marks the thread as ended. Publishers that still wait get an error, because the senders of their results are
    /// dropped.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let left = std::mem::take(&mut state.waiting);
        drop(state);
        drop(left);
        self.end.notify_all();
    }

    /// Waits for [`end`](Self::end), at most for `limit`; false if it did not come.
    pub(super) fn wait_ended(&self, limit: Duration) -> bool {
        let (state, _) = self
            .end
            .wait_timeout_while(self.lock(), limit, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::hub::kind::Kind;
    use crate::hub::store::Acknowledgement;

    fn append(bytes: usize) -> (Append, Acknowledgement) {
        let (done, answer) = oneshot::channel();
        let record = Record {
            offset: 1,
            id: None,
            event: None,
            key: None,
            kind: Kind::Bytes,
            data: Bytes::from(vec![0; bytes]),
            time: 0,
        };
        let channel = "wok".into();
        let append = Append {
            channel,
            record,
            unique: Unique::Never,
            repeats: None,
            came: Instant::now(),
            done,
        };
        (append, Acknowledgement(answer))
    }

    #[test]
    fn what_is_being_written_counts_against_the_bound_until_it_is_settled() {
        let queue = Queue::default();
        for _ in 0..RECORDS {
            queue.push(append(0).0).expect("room");
        }
        let full = |first| Err(Refused::Full { first });
        assert_eq!(queue.push(append(0).0), full(true));
        assert_eq!(queue.push(append(0).0), full(false));
        let batch = queue.take(None).expect("a batch");
        assert!(batch.overflowed);
        assert_eq!(queue.push(append(0).0), full(true), "while it is written");
        queue.report_results(batch.appends, &Ok(()));
        queue.push(append(0).0).expect("room again");
    }

    #[test]
    fn bytes_are_bounded_and_one_message_alone_always_fits() {
        let queue = Queue::default();
        queue.push(append(BYTES).0).expect("the only one");
        assert_eq!(queue.push(append(0).0), Err(Refused::Full { first: true }));
    }

    #[test]
    fn removals_alone_are_handed_out_only_at_the_end() {
        let queue = Queue::default();
        queue.trim(|trims| trims.forget("wok", 5));
        queue.trim(|trims| trims.forget("wok", 3));
        queue.close();
        let batch = queue.take(None).expect("what is left");
        assert_eq!(batch.trims.forgotten.get("wok"), Some(&5));
        assert!(queue.take(None).is_none());
    }

    #[tokio::test]
    async fn whoever_waits_is_told_when_the_thread_ends_before_it_wrote() {
        let queue = Queue::default();
        let (append, answer) = append(0);
        queue.push(append).expect("room");
        queue.end();
        assert!(matches!(answer.await, Err(StoreError::Stopped)));
    }
}
