//! Messages of a source that wait for the disk. Their number is bounded; at the bound the source is not read. A message
//! that the disk refuses is dropped and reported like other messages that cannot be published. Independent of sockets.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use super::sink::Sink;
use crate::hub::{Pending, Published};

/// Limit on messages that wait for the disk. They share its commits, so more would not be faster.
const MOST: usize = 1_000;

/// The waiting messages, in order.
#[derive(Default)]
pub(super) struct PendingWrites(VecDeque<Waiting>);

struct Waiting {
    uid: Option<u32>,
    kept: Pending,
}

impl PendingWrites {
    /// Adds a published message if its result is still pending.
    pub(super) fn push(&mut self, uid: Option<u32>, published: Option<Published>) {
        if let Some(kept) = published.and_then(Published::pending_on_disk) {
            self.0.push_back(Waiting { uid, kept });
        }
    }

    /// True if the source must not be read before a message has settled.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Waits until the oldest message is stored or refused; for ever if there is none. Cancel-safe.
    pub(super) async fn settle(&mut self, sink: &Sink) {
        let kept = poll_fn(|cx| match self.0.front_mut() {
            Some(waiting) => waiting.kept.as_mut().poll(cx),
            None => Poll::Pending,
        });
        let kept = kept.await;
        let waiting = self.0.pop_front();
        if let (Err(error), Some(waiting)) = (kept, waiting) {
            sink.not_kept(waiting.uid, &error);
        }
    }

    /// Waits for all messages.
    pub(super) async fn settle_all(&mut self, sink: &Sink) {
        while !self.0.is_empty() {
            self.settle(sink).await;
        }
    }
}
