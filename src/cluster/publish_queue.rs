//! Bounded FIFO queue of publishes that are not confirmed yet; reading them back from the stream confirms them. After a
//! reconnect they are sent again in order. Does not use a connection.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::{Notify, oneshot};

use crate::cluster::record::Content;
use crate::hub::EventId;
use crate::sync::lock;

/// Bounds of the queue, in messages and in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// The queue between publishers and the stream task.
#[derive(Debug)]
pub(super) struct PublishQueue {
    bounds: Bounds,
    state: Mutex<Queue>,
    pushed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Number of entries at the front that were already written over the current connection.
    written: usize,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    content: Content,
    read_back: Option<oneshot::Sender<EventId>>,
}

impl PublishQueue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            pushed: Notify::new(),
        }
    }

    /// Queues a record; the returned channel gets its id once it is in the stream. `None` if the queue is full.
    pub(super) fn push(&self, content: Content) -> Option<oneshot::Receiver<EventId>> {
        let size = size(&content);
        let mut state = lock(&self.state);
        if state.waiting.len() >= self.bounds.messages || state.bytes + size > self.bounds.bytes {
            return None;
        }
        let (read_back, receiver) = oneshot::channel();
        state.last += 1;
        state.bytes += size;
        let number = state.last;
        state.waiting.push_back(Waiting {
            number,
            content,
            read_back: Some(read_back),
        });
        drop(state);
        self.pushed.notify_one();
        Some(receiver)
    }

    /// Waits for the next record that was not written over the current connection.
    pub(super) async fn next(&self) -> (u64, Content) {
        loop {
            let pushed = self.pushed.notified();
            {
                let mut state = lock(&self.state);
                let next = state.waiting.get(state.written);
                if let Some(found) = next.map(|next| (next.number, next.content.clone())) {
                    state.written += 1;
                    return found;
                }
            }
            pushed.await;
        }
    }

    /// Prepares for a new connection: all unconfirmed records are to be written again.
    pub(super) fn rewrite(&self) {
        lock(&self.state).written = 0;
        self.pushed.notify_one();
    }

    /// Confirms the record with this number and all before it: they are in the stream.
    pub(super) fn confirm(&self, number: u64, id: &EventId) {
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
            state.bytes = state.bytes.saturating_sub(size(&front.content));
            if let Some(read_back) = front.read_back.take().filter(|_| is_it) {
                // The publisher may have stopped waiting.
                let _ = read_back.send(id.clone());
            }
        }
    }

    /// Number of queued records.
    pub(super) fn count(&self) -> usize {
        lock(&self.state).waiting.len()
    }
}

fn size(content: &Content) -> usize {
    match content {
        Content::Message { draft, .. } => draft.size() + 256,
        Content::Note { data, .. } => data.len() + 64,
        Content::Hello { .. } => 64,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::hub::Epoch;

    fn note(text: &'static str) -> Content {
        Content::Note {
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
        let queue = PublishQueue::new(Bounds {
            messages: 3,
            bytes: 1 << 20,
        });
        let mut read_back: Vec<_> = ["a", "b", "c"]
            .map(|text| queue.push(note(text)).expect("room"))
            .into();
        assert!(queue.push(note("d")).is_none(), "it is full");
        for expected in 1..=3 {
            assert_eq!(queue.next().await.0, expected);
        }
        queue.confirm(1, &id(7));
        assert_eq!(read_back.remove(0).await.expect("an id"), id(7));
        queue.rewrite();
        assert_eq!(queue.next().await, (2, note("b")));
        assert_eq!(queue.count(), 2);
        queue.confirm(3, &id(9));
        assert_eq!(queue.count(), 0);
        assert!(queue.push(note("d")).is_some());
        assert_eq!(queue.next().await.0, 4);
    }
}
