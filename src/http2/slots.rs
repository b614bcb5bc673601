//! The streams of one HTTP/2 connection, polled by the task of the connection. Must not know HTTP.
//!
//! If each stream had a task, that would cost its scheduling, often the waking of another thread, and one write for
//! each response: the first stream that is ready wakes the connection, which writes before the other streams are
//! polled. Here all woken streams are polled first, and then the connection, which writes the output of all of them.
//!
//! The connection and each stream have their own waker, so only those that were woken are polled, and a wake-up among
//! them during the poll does not schedule the task again. They share the budget that tokio gives a task for each poll;
//! streams that are not polled because it is used up are polled first the next time.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use atomic_waker::AtomicWaker;
use tokio::task::coop::has_budget_remaining;

use crate::http2::interim::Queue;
use crate::sync::lock;

/// Number of rounds of polling before other tasks are polled. A request takes two: one of the connection, which accepts
/// it, and one of its stream; so does a response.
const ROUNDS: usize = 4;
/// Number of slots that a connection keeps while it has no stream.
const SPARE: usize = 8;

/// List of the streams to poll, and a flag that is true if the connection has to be polled too.
#[derive(Debug, Default)]
struct Ready {
    state: Mutex<State>,
    task: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    woken: Vec<usize>,
    connection: bool,
    /// True while the task polls: it then sees every wake-up, and need not be scheduled.
    is_polled: bool,
}

/// Polls a connection and its streams `S`. Streams that have not ended are dropped with it.
pub(super) struct Multiplexer<S> {
    /// The waker of the connection, and its state.
    waker: (Waker, Arc<Wakeup>),
    slots: Slots<S>,
    /// List of the streams of one round, which is reused.
    woken: Vec<usize>,
    /// True if the streams used up the budget before the connection was polled, so that it is polled before them next
    /// time.
    is_late: bool,
}

/// The streams of a connection.
pub(super) struct Slots<S> {
    all: Vec<Slot<S>>,
    vacant: Vec<usize>,
    /// Slots whose streams have not been polled yet.
    opened: Vec<usize>,
    ready: Arc<Ready>,
}

/// A place for a stream, which is reused. A late wake-up of the previous stream only causes a needless poll of the next
/// one.
struct Slot<S> {
    waker: Waker,
    wakeup: Arc<Wakeup>,
    interim: Queue,
    stream: Option<S>,
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
        state.connection || !state.woken.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl<S> Slots<S> {
    /// Opens a slot for a stream, which is created with the queue of the slot and polled in the next round.
    pub(super) fn open(&mut self, create: impl FnOnce(&Queue) -> S) {
        let number = self.vacant.pop().unwrap_or(self.all.len());
        if number == self.all.len() {
            let (waker, wakeup) = Wakeup::create(Some(number), &self.ready);
            self.all.push(Slot {
                interim: Queue::new(waker.clone()),
                waker,
                wakeup,
                stream: None,
            });
        }
        if let Some(slot) = self.all.get_mut(number) {
            slot.wakeup.is_woken.store(true, Ordering::Release);
            slot.stream = Some(create(&slot.interim));
            self.opened.push(number);
        }
    }

    /// Records that the stream of a slot has ended. A connection without streams does not keep the space of all that it
    /// had at once.
    fn vacate(&mut self, number: usize) {
        self.vacant.push(number);
        if self.vacant.len() == self.all.len() && self.all.len() > SPARE {
            self.all.truncate(SPARE);
            self.all.shrink_to_fit();
            self.vacant = (0..SPARE).collect();
        }
    }
}

impl<S: Future<Output = ()> + Unpin> Slots<S> {
    fn poll_stream(&mut self, number: usize) {
        let Some(slot) = self.all.get_mut(number) else {
            return;
        };
        slot.wakeup.is_woken.store(false, Ordering::Release);
        let Some(stream) = &mut slot.stream else {
            return;
        };
        let cx = &mut Context::from_waker(&slot.waker);
        // A panic ends its stream, as it would end a task, and is no fault of the others. The future is dropped and
        // not used again.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(stream).poll(cx)));
        if !matches!(polled, Ok(Poll::Pending)) {
            slot.stream = None;
            self.vacate(number);
        }
    }
}

impl<S: Future<Output = ()> + Unpin> Multiplexer<S> {
    /// Polls the woken streams, and then the connection, which opens slots for more. Ready with the result of the
    /// connection.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut connection: impl FnMut(&mut Context<'_>, &mut Slots<S>) -> Poll<T>,
    ) -> Poll<T> {
        self.slots.ready.task.register(cx.waker());
        for _ in 0..ROUNDS {
            let mut state = self.slots.ready.lock();
            state.is_polled = true;
            std::mem::swap(&mut self.woken, &mut state.woken);
            let is_woken = std::mem::take(&mut state.connection);
            drop(state);
            self.woken.append(&mut self.slots.opened);
            if self.woken.is_empty() && !is_woken {
                break;
            }
            let is_first = is_woken && std::mem::take(&mut self.is_late);
            if is_first && let Poll::Ready(ended) = self.poll_connection(&mut connection) {
                return Poll::Ready(ended);
            }
            let has_budget = self.poll_streams();
            if is_woken && !is_first {
                if !has_budget {
                    self.is_late = true;
                    self.slots.ready.lock().connection = true;
                } else if let Poll::Ready(ended) = self.poll_connection(&mut connection) {
                    return Poll::Ready(ended);
                }
            }
            if !has_budget {
                break;
            }
        }
        if self.slots.ready.end() || !self.slots.opened.is_empty() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_connection<T>(
        &mut self,
        connection: &mut impl FnMut(&mut Context<'_>, &mut Slots<S>) -> Poll<T>,
    ) -> Poll<T> {
        let (waker, wakeup) = &self.waker;
        wakeup.is_woken.store(false, Ordering::Release);
        connection(&mut Context::from_waker(waker), &mut self.slots)
    }

    /// Polls the streams of one round until the budget of the task is used up; false if it is. The streams that remain
    /// are the first of the next round.
    fn poll_streams(&mut self) -> bool {
        let mut polled = 0;
        while let Some(number) = self.woken.get(polled) {
            if !has_budget_remaining() {
                let mut state = self.slots.ready.lock();
                state.woken.splice(..0, self.woken.drain(polled..));
                drop(state);
                self.woken.clear();
                return false;
            }
            polled += 1;
            self.slots.poll_stream(*number);
        }
        self.woken.clear();
        true
    }
}

impl<S> Multiplexer<S> {
    /// Creates the streams of a new connection, which is polled first.
    pub(super) fn new() -> Self {
        let ready = Arc::new(Ready::default());
        ready.lock().connection = true;
        Self {
            waker: Wakeup::create(None, &ready),
            slots: Slots {
                all: Vec::new(),
                vacant: Vec::new(),
                opened: Vec::new(),
                ready,
            },
            woken: Vec::new(),
            is_late: false,
        }
    }

    /// Drops the streams that this is false of.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&mut S) -> bool) {
        for number in 0..self.slots.all.len() {
            if let Some(slot) = self.slots.all.get_mut(number)
                && let Some(stream) = &mut slot.stream
                && !is_kept(stream)
            {
                slot.stream = None;
                self.slots.vacate(number);
            }
        }
    }

    /// Has the connection polled after a change of it.
    pub(super) fn wake_connection(&self) {
        self.slots.ready.add(|state| state.connection = true);
    }
}

impl<S> Drop for Multiplexer<S> {
    fn drop(&mut self) {
        // A late waker of a stream must not keep the space of the task.
        drop(self.slots.ready.task.take());
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "what a test spawns and queues ends with its runtime"
)]
mod tests;
