//! The slots of the app's workers, and the bounded queue before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::upstream::UpstreamError;

/// One worker of the app, ours until dropped.
pub(super) type Slot = OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) struct Queue {
    workers: Arc<Semaphore>,
    size: usize,
    waiting: AtomicUsize,
    most_waiting: usize,
    longest_wait: Duration,
}

/// How busy an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Its workers.
    pub workers: usize,
    /// Those that are busy with a request of ours.
    pub busy: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

/// Counts one waiting request, also when its client leaves and the future is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Queue {
    pub(super) fn new(workers: usize, most_waiting: usize, longest_wait: Duration) -> Self {
        let size = workers.min(Semaphore::MAX_PERMITS);
        Self {
            workers: Arc::new(Semaphore::new(size)),
            size,
            waiting: AtomicUsize::new(0),
            most_waiting,
            longest_wait,
        }
    }

    pub(super) fn load(&self) -> Load {
        Load {
            workers: self.size,
            busy: self.size.saturating_sub(self.workers.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// A free slot, first come first served.
    pub(super) async fn slot(&self) -> Result<Slot, UpstreamError> {
        if let Ok(slot) = Arc::clone(&self.workers).try_acquire_owned() {
            return Ok(slot);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.most_waiting {
            return Err(UpstreamError::QueueFull(self.most_waiting));
        }
        let free = Arc::clone(&self.workers).acquire_owned();
        match timeout(self.longest_wait, free).await {
            Ok(slot) => Ok(slot.expect("this semaphore is never closed")),
            Err(_) => Err(UpstreamError::QueueSlow(self.longest_wait)),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the task of a test ends with its runtime"
)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn beyond_the_workers_requests_wait_and_beyond_the_queue_they_are_refused() {
        let queue = Arc::new(Queue::new(1, 1, Duration::from_secs(5)));
        let slot = queue.slot().await.expect("a free worker");
        let second = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.slot().await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(matches!(
            queue.slot().await,
            Err(UpstreamError::QueueFull(1))
        ));
        drop(slot);
        assert!(second.await.expect("no panic").is_ok());
        let _held = queue.slot().await.expect("free again");
        assert!(matches!(
            queue.slot().await,
            Err(UpstreamError::QueueSlow(_))
        ));
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }
}
