//! The streams of one HTTP/2 connection, polled by the task of the connection. Must not know HTTP.
//!
//! If each stream had a task, that would cost its scheduling, often the waking of another thread, and one write for
//! each response: the first stream that is ready wakes the connection, which writes before the other streams are
//! polled. Here all woken streams are polled first, and then the connection, which writes the output of all of them.
//!
//! The connection and each stream have their own waker, so only those that were woken are polled, and a wake-up among
//! them during the poll does not schedule the task again. They share the budget that tokio gives a task for each poll;
//! streams that are not polled because it is used up are polled first the next time.

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

/// Number of rounds of polling before other tasks are polled. A request takes two: one of the connection, which accepts
/// it, and one of its stream; so does a response.
const ROUNDS: usize = 4;

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The executor to which hyper gives the streams of a connection. Clones belong to the same connection.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Ready>);

/// List of the streams to poll, and a flag that is true if the connection has to be polled too.
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
    /// True while the task polls: it then sees every wake-up, and need not be scheduled.
    is_polled: bool,
}

/// A connection with its streams, as one future. Streams that have not ended are dropped with it.
pub(super) struct Multiplexed<C> {
    connection: Pin<Box<C>>,
    /// The waker of the connection, and its state.
    waker: (Waker, Arc<Wakeup>),
    places: Vec<Place>,
    vacant: Vec<usize>,
    ready: Arc<Ready>,
    /// Reused list of the streams of one round.
    woken: Vec<usize>,
    /// True if the streams used up the budget before the connection was polled, so that it is polled before them next
    /// time.
    is_late: bool,
}

/// A slot for a stream, which is reused. A late wake-up of the previous stream only causes a needless poll of the next
/// one.
struct Place {
    waker: (Waker, Arc<Wakeup>),
    stream: Option<Stream>,
}

/// State of the waker of a stream, or of the connection, which has no number.
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
    /// Adds a stream or the connection to the list, and schedules the task unless it is polling.
    fn add(&self, add: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        add(&mut state);
        let is_polled = state.is_polled;
        drop(state);
        if !is_polled {
            self.task.wake();
        }
    }

    /// Ends the polling; true if the list is not empty, so that the task has to be polled again.
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
    /// Creates the future of a connection whose executor is `streams`.
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

    /// Changes the connection, and has it polled afterwards.
    pub(super) fn change(&mut self, change: impl FnOnce(Pin<&mut C>)) {
        change(self.connection.as_mut());
        self.ready.add(|state| state.connection = true);
    }

    /// Puts a stream into a slot, and polls it.
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

    /// Polls the streams of one round until the budget of the task is used up; false if it is. The streams that remain
    /// are the first of the next round.
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
