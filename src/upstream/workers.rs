//! Worker permits of the app, counted exactly for each of its addresses, and the bounded wait for one.
//!
//! A [`WorkerPermit`] is held by the value for which the worker works. A permit that becomes free is passed to the next
//! request in the [queue](super::fair_queue) before any other request can take it. All addresses share one queue; the
//! [balancer](super::balancer) chooses between them.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::sync::lock;
use crate::telemetry::Timings;
use crate::upstream::affinity::Affinity;
use crate::upstream::backend::Backend;
use crate::upstream::balancer::Balancer;
use crate::upstream::fair_queue::{Class, FairQueue, QueueFull, Ticket};
use crate::upstream::{Load, UpstreamError};

/// A client that requests a worker.
#[derive(Clone, Copy)]
pub(crate) struct Requester<'a> {
    /// Key by which the client is counted; `None` for a program of this machine.
    pub address: Option<IpAddr>,
    /// True if the client's connection has TLS.
    pub is_https: bool,
    /// True if the app is known to have confirmed the sender of these headers. Called only if no worker is free.
    pub is_known: &'a (dyn Fn(&HeaderMap) -> bool + Sync),
    /// Receives the time in the queue, if it is recorded.
    pub times: Option<&'a Timings>,
}

impl Requester<'_> {
    /// A client without a known session.
    #[must_use]
    pub(crate) fn unknown(address: Option<IpAddr>) -> Self {
        Self {
            address,
            is_https: false,
            is_known: &|_| false,
            times: None,
        }
    }
}

impl fmt::Debug for Requester<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requester")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The worker permits of an app, and the requests that wait. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notified when an address opens or closes.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    balancer: Balancer,
    longest_wait: Duration,
    capacity: usize,
    /// Requests that got a worker of an unreachable address, and wait for a worker of another one. They were served in
    /// their turn already, and are at most as many as there are workers.
    returned: VecDeque<Waiter>,
    queue: FairQueue<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    affinity: Affinity,
    turn: oneshot::Sender<WaitResult>,
}

/// Result of a wait: a permit, or `None` if a request of another address took the place in the queue.
type WaitResult = Option<WorkerPermit>;

/// One worker of the app, held until it is dropped.
#[derive(Debug)]
pub(super) struct WorkerPermit {
    /// The queue; `None` only during the drop.
    queue: Option<Queue>,
    at: usize,
    backend: Arc<Backend>,
}

/// A guard that leaves the queue, even if the client leaves and the future is dropped.
struct Waiting<'a> {
    queue: &'a Queue,
    ticket: Ticket,
}

enum JoinOutcome {
    Served(WorkerPermit),
    Waits(Ticket, Duration),
}

/// The address to which a request has moved whose own address could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MoveOutcome {
    /// An open address.
    Open,
    /// No address is open; the request has moved to the next address that may be tried, if there is one.
    NoneOpen,
}

impl Default for Queue {
    /// Creates a queue without workers and without places.
    fn default() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                balancer: Balancer::default(),
                longest_wait: Duration::ZERO,
                capacity: 0,
                returned: VecDeque::new(),
                queue: FairQueue::new(0),
            }),
            changed: Notify::new(),
        }))
    }
}

impl Queue {
    /// Replaces the addresses and sets their number of workers. Permits in use stay counted, so that there are never
    /// more than the limit, except that running requests are not ended when the limit is lowered.
    pub(super) fn set_backends(&self, backends: &[Arc<Backend>], workers: usize) {
        let former = self.lock().balancer.set(backends, workers);
        for backend in former {
            backend.retire();
        }
        for backend in backends {
            let queue = Arc::downgrade(&self.0);
            let number = Arc::as_ptr(&self.0).addr();
            backend.shared.availability.subscribe(number, move || {
                let Some(shared) = queue.upgrade() else {
                    return false;
                };
                Self(shared).assign_permits();
                true
            });
        }
        self.assign_permits();
    }

    /// Changes the limits of the wait.
    pub(super) fn set_limits(&self, capacity: usize, longest_wait: Duration) {
        let mut state = self.lock();
        state.capacity = capacity;
        state.longest_wait = longest_wait;
        state.queue.set_capacity(capacity);
    }

    pub(super) fn load(&self) -> Load {
        let state = self.lock();
        let (workers, busy) = state.balancer.load(None);
        Load {
            workers,
            busy,
            waiting: state.queue.len() + state.returned.len(),
        }
    }

    /// Takes a permit, if one is free.
    pub(super) fn free(&self, affinity: Affinity) -> Option<WorkerPermit> {
        self.lock().take(self, affinity)
    }

    /// Number of workers and of busy workers at this address.
    pub(super) fn load_of(&self, backend: &Arc<Backend>) -> (usize, usize) {
        self.lock().balancer.load(Some(backend))
    }

    /// True if another address than the one at this position is open.
    pub(super) fn another_is_open(&self, at: usize) -> bool {
        self.lock().balancer.another_is_open(at)
    }

    /// Completes when an address opens or closes.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// Takes a permit, at once or in turn. `headers` identify the client if it has to wait.
    pub(super) async fn permit(
        &self,
        requester: Requester<'_>,
        affinity: Affinity,
        headers: &HeaderMap,
    ) -> Result<WorkerPermit, UpstreamError> {
        if let Some(permit) = self.free(affinity) {
            return Ok(permit);
        }
        let class = if (requester.is_known)(headers) {
            Class::Known
        } else {
            Class::Unknown
        };
        let (turn, receiver) = oneshot::channel();
        let waiter = Waiter { affinity, turn };
        let (ticket, longest_wait) = match self.join(class, requester.address, waiter)? {
            JoinOutcome::Served(permit) => return Ok(permit),
            JoinOutcome::Waits(ticket, longest_wait) => (ticket, longest_wait),
        };
        let _waiting = Waiting {
            queue: self,
            ticket,
        };
        self.wait(receiver, longest_wait).await
    }

    async fn wait(
        &self,
        receiver: oneshot::Receiver<WaitResult>,
        longest_wait: Duration,
    ) -> Result<WorkerPermit, UpstreamError> {
        match timeout(longest_wait, receiver).await {
            Ok(Ok(Some(permit))) => Ok(permit),
            Ok(_) => Err(UpstreamError::QueueFull(self.lock().capacity)),
            Err(_) => Err(UpstreamError::QueueSlow(longest_wait)),
        }
    }

    /// Takes a permit of this address, if it has a free one.
    pub(super) fn permit_at(&self, backend: &Arc<Backend>) -> Option<WorkerPermit> {
        let mut state = self.lock();
        let taken = state.balancer.take_at(backend);
        taken.map(|taken| self.permit_of(taken))
    }

    /// Moves a request to an open address, for which it may have to wait; without one, to the next address that may be
    /// tried. Its former permit is released as soon as it is not needed.
    pub(super) async fn move_to_open(
        &self,
        permit: &mut WorkerPermit,
        affinity: Affinity,
    ) -> Result<MoveOutcome, UpstreamError> {
        let (none_is_open, next) = {
            let mut state = self.lock();
            let none_is_open = !state.balancer.any_is_open();
            let next = none_is_open.then(|| state.balancer.take_next(permit.at));
            (none_is_open, next.flatten())
        };
        if let Some(next) = next {
            *permit = self.permit_of(next);
        }
        if none_is_open {
            return Ok(MoveOutcome::NoneOpen);
        }
        *permit = self.open_address_permit(affinity).await?;
        Ok(MoveOutcome::Open)
    }

    /// Takes a permit of an open address for a request that was served in its turn already.
    pub(super) async fn open_address_permit(
        &self,
        affinity: Affinity,
    ) -> Result<WorkerPermit, UpstreamError> {
        let (receiver, longest_wait) = {
            let mut state = self.lock();
            if let Some(moved) = state.take(self, affinity) {
                return Ok(moved);
            }
            let (turn, receiver) = oneshot::channel();
            state.returned.retain(|waiter| !waiter.turn.is_closed());
            state.returned.push_back(Waiter { affinity, turn });
            (receiver, state.longest_wait)
        };
        self.wait(receiver, longest_wait).await
    }

    fn join(
        &self,
        class: Class,
        address: Option<IpAddr>,
        waiter: Waiter,
    ) -> Result<JoinOutcome, UpstreamError> {
        let mut state = self.lock();
        // One may have become free since.
        if let Some(permit) = state.take(self, waiter.affinity) {
            return Ok(JoinOutcome::Served(permit));
        }
        let capacity = state.capacity;
        let joined = state.queue.join(class, address, waiter);
        let (ticket, gives_way) = joined.map_err(|QueueFull| UpstreamError::QueueFull(capacity))?;
        let longest_wait = state.longest_wait;
        drop(state);
        if let Some(gives_way) = gives_way {
            // It may have left in the meantime.
            let _ = gives_way.turn.send(None);
        }
        Ok(JoinOutcome::Waits(ticket, longest_wait))
    }

    /// Passes free permits to waiting requests, after a change.
    fn assign_permits(&self) {
        loop {
            let Some((waiter, taken)) = self.lock().assign_permits() else {
                break;
            };
            // A permit whose receiver has left goes to the next as it is dropped.
            let _ = waiter.turn.send(Some(self.permit_of(taken)));
        }
        self.0.changed.notify_waiters();
    }

    fn permit_of(&self, (at, backend): (usize, Arc<Backend>)) -> WorkerPermit {
        WorkerPermit {
            queue: Some(self.clone()),
            at,
            backend,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl State {
    /// Takes a free permit. If there is one, no waiting request could use it.
    fn take(&mut self, queue: &Queue, affinity: Affinity) -> Option<WorkerPermit> {
        let taken = self.balancer.take(affinity)?;
        Some(queue.permit_of(taken))
    }

    /// The request that gets the permit that has become free. If there is none, the worker is counted as free.
    fn next(&mut self, at: usize) -> Option<(Waiter, Arc<Backend>)> {
        let next = if self.balancer.may_reassign(at) {
            self.next_for(at)
        } else {
            None
        };
        let backend = self.balancer.backend(at);
        let found = next.zip(backend.cloned());
        if found.is_none() {
            self.balancer.release(at);
        }
        found
    }

    /// The next request that this address may serve.
    fn next_for(&mut self, at: usize) -> Option<Waiter> {
        let balancer = &self.balancer;
        let fits =
            |waiter: &Waiter| balancer.serves(at, balancer.affinity_position(waiter.affinity));
        if let Some(index) = self.returned.iter().position(fits) {
            return self.returned.remove(index);
        }
        self.queue.next(fits)
    }

    /// A waiting request for which there is a free permit, and that permit.
    fn assign_permits(&mut self) -> Option<(Waiter, (usize, Arc<Backend>))> {
        if self.queue.len() == 0 && self.returned.is_empty() {
            return None;
        }
        let free: Vec<usize> = self.balancer.free().collect();
        let (at, waiter) = free
            .into_iter()
            .find_map(|at| Some((at, self.next_for(at)?)))?;
        Some((waiter, self.balancer.occupy(at)?))
    }
}

impl WorkerPermit {
    /// The position of its address.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The address whose worker it is.
    pub(super) fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }
}

impl Drop for WorkerPermit {
    /// Passes the permit to the next request in the queue, or counts it as free.
    fn drop(&mut self) {
        while let Some(queue) = self.queue.take() {
            let Some((waiter, backend)) = queue.lock().next(self.at) else {
                return;
            };
            let permit = Self {
                queue: Some(queue),
                at: self.at,
                backend,
            };
            match waiter.turn.send(Some(permit)) {
                // Its client has left at this moment.
                Err(Some(mut permit)) => self.queue = permit.queue.take(),
                Ok(()) | Err(None) => return,
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.lock().queue.leave(self.ticket);
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the task of a test ends with its runtime"
)]
mod tests;
