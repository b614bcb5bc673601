//! Messages of a source that wait for the disk of their history, bounded: so many on their way at once, and then the
//! source is not read. What the disk refuses is dropped and told, as all that a source cannot publish. Knows no socket.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use super::outlet::Outlet;
use crate::hub::publishing::{Pending, Published};

/// Messages on their way to the disk. They share its commits, so more would not make it faster.
const MOST: usize = 1_000;

/// Messages on their way, in their order.
#[derive(Default)]
pub(super) struct Unkept(VecDeque<Waiting>);

struct Waiting {
    uid: Option<u32>,
    kept: Pending,
}

impl Unkept {
    /// Takes one that was published, if it has to wait.
    pub(super) fn push(&mut self, uid: Option<u32>, published: Option<Published>) {
        if let Some(kept) = published.and_then(Published::pending_on_disk) {
            self.0.push_back(Waiting { uid, kept });
        }
    }

    /// Whether no more may be read before some have settled.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Waits until the oldest is kept or refused; for ever if there is none. May be given up at any time.
    pub(super) async fn settle(&mut self, outlet: &Outlet) {
        let kept = poll_fn(|cx| match self.0.front_mut() {
            Some(waiting) => waiting.kept.as_mut().poll(cx),
            None => Poll::Pending,
        });
        let kept = kept.await;
        let waiting = self.0.pop_front();
        if let (Err(error), Some(waiting)) = (kept, waiting) {
            outlet.not_kept(waiting.uid, &error);
        }
    }

    /// Waits for all of them.
    pub(super) async fn settle_all(&mut self, outlet: &Outlet) {
        while !self.0.is_empty() {
            self.settle(outlet).await;
        }
    }
}
