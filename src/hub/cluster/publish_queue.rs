//! Bounded FIFO of publishes that are not confirmed yet by reading them back from the stream. After a reconnect
//! they are re-sent in order. Does not use a connection.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::{Notify, oneshot};

use crate::hub::EventId;
use crate::hub::cluster::record::Said;
use crate::sync::lock;

/// Bounds of the queue, in messages and in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// The queue between publishers and the stream task.
#[derive(Debug)]
pub(super) struct Outgoing {
    bounds: Bounds,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Number of entries at the front that were already written over the current connection.
    written: usize,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    said: Said,
    seen: Option<oneshot::Sender<EventId>>,
}

impl Outgoing {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Queues a record; the returned channel gets its id once it is in the stream. `None` if the queue is full.
    pub(super) fn push(&self, said: Said) -> Option<oneshot::Receiver<EventId>> {
        let size = size(&said);
        let mut state = lock(&self.state);
        if state.waiting.len() >= self.bounds.messages || state.bytes + size > self.bounds.bytes {
            return None;
        }
        let (seen, receiver) = oneshot::channel();
        state.last += 1;
        state.bytes += size;
        let number = state.last;
        state.waiting.push_back(Waiting {
            number,
            said,
            seen: Some(seen),
        });
        drop(state);
        self.news.notify_one();
        Some(receiver)
    }

    /// Waits for the next record that was not written over the current connection.
    pub(super) async fn next(&self) -> (u64, Said) {
        loop {
            let news = self.news.notified();
            {
                let mut state = lock(&self.state);
                let next = state.waiting.get(state.written);
                if let Some(found) = next.map(|next| (next.number, next.said.clone())) {
                    state.written += 1;
                    return found;
                }
            }
            news.await;
        }
    }

    /// Prepares for a new connection: all unconfirmed records are to be written again.
    pub(super) fn again(&self) {
        lock(&self.state).written = 0;
        self.news.notify_one();
    }

    /// Confirms the record with this number and all before it: they are in the stream.
    pub(super) fn came_back(&self, number: u64, id: &EventId) {
        let mut state = lock(&self.state);
        while let Some(front) = state.waiting.front() {
            if front.number > number {
                break;
            }
            let is_it = front.number == number;
            let Some(mut front) = state.waiting.pop_front() else {
                break;
            };
            state.written = state.written.saturating_sub(1);
            state.bytes = state.bytes.saturating_sub(size(&front.said));
            if let Some(seen) = front.seen.take().filter(|_| is_it) {
                // Whoever published may not care.
                let _ = seen.send(id.clone());
            }
        }
    }

    /// Number of queued records.
    pub(super) fn count(&self) -> usize {
        lock(&self.state).waiting.len()
    }
}

fn size(said: &Said) -> usize {
    match said {
        Said::Message { draft, .. } => draft.size() + 256,
        Said::Note { data, .. } => data.len() + 64,
        Said::Hello { .. } => 64,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::hub::Epoch;

    fn note(text: &'static str) -> Said {
        Said::Note {
            kind: "k".into(),
            data: Bytes::from_static(text.as_bytes()),
        }
    }

    fn id(offset: u64) -> EventId {
        EventId {
            epoch: Epoch::parse("e").expect("an epoch"),
            offset,
        }
    }

    #[tokio::test]
    async fn what_did_not_come_back_is_written_again_with_the_same_number() {
        let outgoing = Outgoing::new(Bounds {
            messages: 3,
            bytes: 1 << 20,
        });
        let mut seen: Vec<_> = ["a", "b", "c"]
            .map(|text| outgoing.push(note(text)).expect("room"))
            .into();
        assert!(outgoing.push(note("d")).is_none(), "it is full");
        for expected in 1..=3 {
            assert_eq!(outgoing.next().await.0, expected);
        }
        outgoing.came_back(1, &id(7));
        assert_eq!(seen.remove(0).await.expect("an id"), id(7));
        outgoing.again();
        assert_eq!(outgoing.next().await, (2, note("b")));
        assert_eq!(outgoing.count(), 2);
        outgoing.came_back(3, &id(9));
        assert_eq!(outgoing.count(), 0);
        assert!(outgoing.push(note("d")).is_some());
        assert_eq!(outgoing.next().await.0, 4);
    }
}
