//! Worker permits of the app, counted exactly, and the bounded wait for one.
//!
//! A [`Slot`] is the permit of one worker. It is held by the value that the worker works for, and a permit that
//! becomes free goes to the next in the [queue](super::fair_queue) before any other request can take it.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::sync::lock;
use crate::telemetry::Timings;
use crate::upstream::fair_queue::{Class, FairQueue, Full, Place};
use crate::upstream::{Load, UpstreamError};

/// A client that requests a worker.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Key by which the client is counted; `None` for a program of this machine.
    pub address: Option<IpAddr>,
    /// True if the app is known to know the sender of these headers. Called only if no worker is free.
    pub is_known: &'a (dyn Fn(&HeaderMap) -> bool + Sync),
    /// Records the time in the queue, if it is wanted.
    pub times: Option<&'a Timings>,
}

impl Asker<'_> {
    /// A client without a known session.
    #[must_use]
    pub fn unknown(address: Option<IpAddr>) -> Self {
        Self {
            address,
            is_known: &|_| false,
            times: None,
        }
    }
}

impl fmt::Debug for Asker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The worker permits of an app, and the requests that wait. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    workers: usize,
    busy: usize,
    longest_wait: Duration,
    most: usize,
    line: FairQueue<oneshot::Sender<Turn>>,
}

/// Result of a wait: a permit, or `None` if another address needed the place in the queue.
type Turn = Option<Slot>;

/// One worker of the app, held until it is dropped. Empty only during the drop.
#[derive(Debug)]
pub(super) struct Slot(Option<Queue>);

/// A guard that leaves the queue, also when the client leaves and the future is dropped.
struct Waiting<'a> {
    queue: &'a Queue,
    place: Place,
}

enum Joined {
    Served(Slot),
    Waits(Place, Duration),
}

impl Queue {
    pub(super) fn new(workers: usize, most: usize, longest_wait: Duration) -> Self {
        Self(Arc::new(Mutex::new(State {
            workers,
            busy: 0,
            longest_wait,
            most,
            line: FairQueue::new(most),
        })))
    }

    /// Changes the limits. Permits in use stay counted, so that there are never more than the limit, except that
    /// running requests are not ended when the limit is lowered.
    pub(super) fn set_limits(&self, workers: usize, most: usize, longest_wait: Duration) {
        let more = {
            let mut state = self.lock();
            state.workers = workers;
            state.most = most;
            state.longest_wait = longest_wait;
            state.line.set_most(most);
            let more = workers.saturating_sub(state.busy).min(state.line.len());
            state.busy += more;
            more
        };
        for _ in 0..more {
            self.clone().pass_on();
        }
    }

    pub(super) fn load(&self) -> Load {
        let state = self.lock();
        Load {
            workers: state.workers,
            busy: state.busy,
            waiting: state.line.len(),
        }
    }

    /// Takes a permit, if one is free.
    pub(super) fn free(&self) -> Option<Slot> {
        self.lock().free(self)
    }

    /// Takes a permit, at once or in turn. `headers` identify the client, if that matters.
    pub(super) async fn slot(
        &self,
        asker: Asker<'_>,
        headers: &HeaderMap,
    ) -> Result<Slot, UpstreamError> {
        if let Some(slot) = self.free() {
            return Ok(slot);
        }
        let class = if (asker.is_known)(headers) {
            Class::Known
        } else {
            Class::Unknown
        };
        let (sender, receiver) = oneshot::channel();
        let (place, longest_wait) = match self.join(class, asker.address, sender)? {
            Joined::Served(slot) => return Ok(slot),
            Joined::Waits(place, longest_wait) => (place, longest_wait),
        };
        let _waiting = Waiting { queue: self, place };
        match timeout(longest_wait, receiver).await {
            Ok(Ok(Some(slot))) => Ok(slot),
            Ok(_) => Err(UpstreamError::QueueFull(self.lock().most)),
            Err(_) => Err(UpstreamError::QueueSlow(longest_wait)),
        }
    }

    fn join(
        &self,
        class: Class,
        address: Option<IpAddr>,
        sender: oneshot::Sender<Turn>,
    ) -> Result<Joined, UpstreamError> {
        let mut state = self.lock();
        // One may have become free since.
        if let Some(slot) = state.free(self) {
            return Ok(Joined::Served(slot));
        }
        let most = state.most;
        let joined = state.line.join(class, address, sender);
        let (place, gives_way) = joined.map_err(|Full| UpstreamError::QueueFull(most))?;
        let longest_wait = state.longest_wait;
        drop(state);
        if let Some(gives_way) = gives_way {
            // If it has left in the meantime, all the better.
            let _ = gives_way.send(None);
        }
        Ok(Joined::Waits(place, longest_wait))
    }

    /// Hands a free permit to the next in the queue, or counts it as free.
    fn pass_on(self) {
        let mut worker = Slot(Some(self));
        while let Some(queue) = worker.0.take() {
            let Some(next) = queue.lock().next() else {
                return;
            };
            match next.send(Some(Slot(Some(queue)))) {
                // Its client has left at this moment.
                Err(Some(slot)) => worker = slot,
                Ok(()) | Err(None) => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    /// Takes a free permit. If there is one, no request waits.
    fn free(&mut self, queue: &Queue) -> Option<Slot> {
        let free = self.busy < self.workers;
        free.then(|| {
            self.busy += 1;
            Slot(Some(queue.clone()))
        })
    }

    /// The request that gets the permit that has become free. If there is none, the worker is not busy any more.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let next = if self.busy > self.workers {
            None
        } else {
            self.line.next()
        };
        if next.is_none() {
            self.busy -= 1;
        }
        next
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.pass_on();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.lock().line.leave(self.place);
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the task of a test ends with its runtime"
)]
mod tests {
    use super::*;

    type Asked = tokio::task::JoinHandle<Result<Slot, UpstreamError>>;

    /// Requests a permit in a new task, and lets that run as far as it can.
    async fn ask(queue: &Queue, last: u8) -> Asked {
        let queue = queue.clone();
        let asked = tokio::spawn(async move {
            let asker = Asker::unknown(Some(IpAddr::from([192, 0, 2, last])));
            queue.slot(asker, &HeaderMap::new()).await
        });
        tokio::task::yield_now().await;
        asked
    }

    async fn served(asked: Asked) -> Slot {
        asked.await.expect("no panic").expect("a worker")
    }

    fn counted(queue: &Queue) -> (usize, usize) {
        let state = queue.lock();
        (state.busy, state.line.len())
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_workers_requests_wait_and_beyond_the_queue_they_are_refused() {
        let queue = Queue::new(1, 1, Duration::from_secs(5));
        let slot = served(ask(&queue, 1).await).await;
        let second = ask(&queue, 1).await;
        let third = ask(&queue, 1).await.await.expect("no panic");
        assert!(matches!(third, Err(UpstreamError::QueueFull(1))));
        drop(slot);
        let held = served(second).await;
        let late = ask(&queue, 1).await.await.expect("no panic");
        assert!(matches!(late, Err(UpstreamError::QueueSlow(_))));
        assert_eq!(counted(&queue), (1, 0));
        drop(held);
        assert_eq!(counted(&queue), (0, 0));
    }

    #[tokio::test]
    async fn a_worker_goes_past_those_who_have_left() {
        let queue = Queue::new(1, 9, Duration::from_secs(5));
        let slot = served(ask(&queue, 1).await).await;
        let leavers = [ask(&queue, 2).await, ask(&queue, 3).await];
        let stays = ask(&queue, 4).await;
        for leaver in leavers {
            leaver.abort();
            assert!(leaver.await.is_err());
        }
        assert_eq!(counted(&queue), (1, 1));
        drop(slot);
        drop(served(stays).await);
        assert_eq!(counted(&queue), (0, 0));
    }

    #[tokio::test]
    async fn who_has_to_give_way_is_told_at_once() {
        let queue = Queue::new(1, 2, Duration::from_secs(5));
        let _slot = served(ask(&queue, 1).await).await;
        let _first = ask(&queue, 1).await;
        let second = ask(&queue, 1).await;
        let _other = ask(&queue, 2).await;
        let told = second.await.expect("no panic");
        assert!(matches!(told, Err(UpstreamError::QueueFull(2))));
        assert_eq!(counted(&queue), (1, 2));
    }

    #[tokio::test]
    async fn other_limits_hold_at_once_and_end_nothing() {
        let queue = Queue::new(2, 9, Duration::from_secs(5));
        let running = [
            served(ask(&queue, 1).await).await,
            served(ask(&queue, 1).await).await,
        ];
        let waiting = [ask(&queue, 1).await, ask(&queue, 1).await];
        queue.set_limits(1, 9, Duration::from_secs(5));
        assert_eq!(counted(&queue), (2, 2));
        let [first, second] = running;
        drop(first);
        assert_eq!(counted(&queue), (1, 2), "one worker is all there is now");
        queue.set_limits(3, 9, Duration::from_secs(5));
        assert_eq!(counted(&queue), (3, 0));
        let [third, fourth] = waiting;
        drop((second, served(third).await, served(fourth).await));
        assert_eq!(counted(&queue), (0, 0));
    }
}
