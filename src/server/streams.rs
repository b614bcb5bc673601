//! The streams of one HTTP/2 connection, polled by the task of the connection. Must not know HTTP.
//!
//! A task for each stream costs its scheduling, often another thread that is woken for it, and one write for each
//! response: the first stream that is ready wakes the connection, which writes before the others had their turn. Here
//! all streams that are woken come first, and then the connection, which writes what they have left.
//!
//! The connection and each stream have a waker of their own, so only those that something has happened to are polled,
//! and what one does for another while they are polled does not schedule the task again. They share the budget that
//! tokio gives a task for each poll: those for which nothing is left of it come first in the next one.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use atomic_waker::AtomicWaker;
use hyper::rt::Executor;
use tokio::task::coop::has_budget_remaining;

use crate::sync::lock;

/// Rounds of polling before other tasks have their turn. A request takes two: one of the connection, which accepts it,
/// and one of its stream; so does a response.
const ROUNDS: usize = 4;

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The executor that takes the streams of a connection. Clones belong to the same connection.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Ready>);

/// List of the streams to poll, and whether the connection is one to poll too.
#[derive(Default)]
struct Ready {
    state: Mutex<State>,
    task: AtomicWaker,
}

#[derive(Default)]
struct State {
    woken: Vec<usize>,
    accepted: Vec<Stream>,
    connection: bool,
    /// True while the task polls: it then sees whatever is woken, and need not be scheduled.
    is_polled: bool,
}

/// A connection with its streams, as one future. What is left of the streams ends with it.
pub(super) struct Multiplexed<C> {
    connection: Pin<Box<C>>,
    /// The waker of the connection, and its mark.
    waker: (Waker, Arc<Wakeup>),
    places: Vec<Place>,
    vacant: Vec<usize>,
    ready: Arc<Ready>,
    /// Space for the list of one round.
    woken: Vec<usize>,
    /// True if the streams have left the connection nothing of the budget, so that it comes before them.
    is_late: bool,
}

/// Room for one stream after another. A late wake of the one before polls the next in vain, and nothing more.
struct Place {
    waker: (Waker, Arc<Wakeup>),
    stream: Option<Stream>,
}

/// The waker of a stream, or of the connection, which has no number.
struct Wakeup {
    number: Option<usize>,
    is_woken: AtomicBool,
    ready: Arc<Ready>,
}

impl Wakeup {
    fn create(number: Option<usize>, ready: &Arc<Ready>) -> (Waker, Arc<Self>) {
        let wakeup = Arc::new(Self {
            number,
            is_woken: AtomicBool::new(false),
            ready: Arc::clone(ready),
        });
        (Waker::from(Arc::clone(&wakeup)), wakeup)
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        self.ready.add(|state| match self.number {
            Some(number) => state.woken.push(number),
            None => state.connection = true,
        });
    }
}

impl Ready {
    /// Adds something that has to be polled, and schedules the task unless it is polling.
    fn add(&self, add: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        add(&mut state);
        let is_polled = state.is_polled;
        drop(state);
        if !is_polled {
            self.task.wake();
        }
    }

    /// Ends the polling; true if something has to be polled again.
    fn end(&self) -> bool {
        let mut state = self.lock();
        state.is_polled = false;
        state.connection || !state.woken.is_empty() || !state.accepted.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let stream = Box::pin(stream);
        self.0.add(|state| state.accepted.push(stream));
    }
}

impl<C> Multiplexed<C> {
    /// Creates the future of a connection that gives its streams to `streams`.
    pub(super) fn new(connection: C, streams: &Streams) -> Self {
        let ready = Arc::clone(&streams.0);
        ready.add(|state| state.connection = true);
        Self {
            connection: Box::pin(connection),
            waker: Wakeup::create(None, &ready),
            places: Vec::new(),
            vacant: Vec::new(),
            ready,
            woken: Vec::new(),
            is_late: false,
        }
    }

    /// Changes the connection, which is then polled.
    pub(super) fn change(&mut self, change: impl FnOnce(Pin<&mut C>)) {
        change(self.connection.as_mut());
        self.ready.add(|state| state.connection = true);
    }

    /// Gives a stream a place, and polls it.
    fn accept(&mut self, stream: Stream) {
        let number = self.vacant.pop().unwrap_or_else(|| {
            let number = self.places.len();
            self.places.push(Place {
                waker: Wakeup::create(Some(number), &self.ready),
                stream: None,
            });
            number
        });
        if let Some(place) = self.places.get_mut(number) {
            place.stream = Some(stream);
        }
        self.poll_stream(number);
    }

    /// Polls the streams of one round, as far as the budget of the task goes. False if it is used up; those that are
    /// left are the first of the next round.
    fn poll_streams(&mut self, accepted: Vec<Stream>) -> bool {
        let mut woken = std::mem::take(&mut self.woken);
        let (mut polled, mut accepted) = (0, accepted.into_iter());
        let has_budget = loop {
            if !has_budget_remaining() {
                break false;
            }
            if let Some(number) = woken.get(polled) {
                polled += 1;
                self.poll_stream(*number);
            } else if let Some(stream) = accepted.next() {
                self.accept(stream);
            } else {
                break true;
            }
        };
        if !has_budget {
            let mut state = self.ready.lock();
            state.woken.splice(..0, woken.drain(polled..));
            state.accepted.splice(..0, accepted);
        }
        woken.clear();
        self.woken = woken;
        has_budget
    }

    fn poll_stream(&mut self, number: usize) {
        let Some(place) = self.places.get_mut(number) else {
            return;
        };
        let (waker, wakeup) = &place.waker;
        wakeup.is_woken.store(false, Ordering::Release);
        let Some(stream) = &mut place.stream else {
            return;
        };
        let cx = &mut Context::from_waker(waker);
        // A panic ends its stream, as it would end a task, and is no fault of the others. The future is dropped and
        // not used again.
        let polled = catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(cx)));
        if !matches!(polled, Ok(Poll::Pending)) {
            place.stream = None;
            self.vacant.push(number);
        }
    }
}

impl<C: Future> Multiplexed<C> {
    fn poll_connection(&mut self) -> Poll<C::Output> {
        let (waker, wakeup) = &self.waker;
        wakeup.is_woken.store(false, Ordering::Release);
        self.connection
            .as_mut()
            .poll(&mut Context::from_waker(waker))
    }
}

impl<C: Future> Future for Multiplexed<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.get_mut();
        this.ready.task.register(cx.waker());
        for _ in 0..ROUNDS {
            let mut state = this.ready.lock();
            state.is_polled = true;
            std::mem::swap(&mut this.woken, &mut state.woken);
            let accepted = std::mem::take(&mut state.accepted);
            let connection = std::mem::take(&mut state.connection);
            drop(state);
            if this.woken.is_empty() && accepted.is_empty() && !connection {
                break;
            }
            let is_first = connection && std::mem::take(&mut this.is_late);
            if is_first && let Poll::Ready(ended) = this.poll_connection() {
                return Poll::Ready(ended);
            }
            let has_budget = this.poll_streams(accepted);
            if connection && !is_first {
                if !has_budget {
                    this.is_late = true;
                    this.ready.lock().connection = true;
                } else if let Poll::Ready(ended) = this.poll_connection() {
                    return Poll::Ready(ended);
                }
            }
            if !has_budget {
                break;
            }
        }
        if this.ready.end() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<C> Drop for Multiplexed<C> {
    fn drop(&mut self) {
        // A stream has a clone of the executor, which would hold one that was never polled, and so itself.
        let left = std::mem::take(&mut self.ready.lock().accepted);
        drop(left);
        // A late waker of a stream must not keep the space of the task.
        drop(self.ready.task.take());
    }
}

impl<C> fmt::Debug for Multiplexed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiplexed").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "what a test spawns and queues ends with its runtime"
)]
mod tests;
