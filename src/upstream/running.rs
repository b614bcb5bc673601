//! What an app works on stays its own until it is done, also when the client has left.
//!
//! A blocking app does not see that a connection is closed: its worker goes on until it has an answer, and only
//! then finds out. If the slot were given back when the client leaves, the next request would be sent to an app
//! whose workers are all busy, and would wait inside of it. So the rest of such an exchange is awaited by a task of
//! its own, which holds the slot, and its answer is thrown away.
//!
//! An app that does see it is told at once, where `ignore-client-abort = false` says so: nothing more is sent to it,
//! which it can read, and its connection is reset as soon as it writes all the same. The slot is held until the app
//! closes its side, or for about as long as it needs to notice the reset.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Response;
use tokio::time::{Instant, sleep, timeout};

use crate::shutdown::Shutdown;
use crate::upstream::connection::{HangUp, SendError};
use crate::upstream::queue::Slot;
use crate::upstream::source::Source;
use crate::upstream::{Answer, UpstreamError};

/// How much of an answer is read that nobody waits for, and for how long. It is then closed, which the app notices
/// with its next write.
const UNWANTED_BYTES: usize = 16 * 1024 * 1024;
const UNWANTED_TIME: Duration = Duration::from_secs(10);

/// An app that looks at its connection does so within this time.
const NOTICED: Duration = Duration::from_millis(50);

/// How an exchange ended. If it failed in a way that permits another try, the slot comes back.
pub(super) type Ended = Result<Result<Response<Answer>, (SendError, Slot)>, UpstreamError>;

/// An exchange that has been begun.
pub(super) struct Running {
    exchange: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    /// Where the app is told when the client leaves.
    hang_up: Option<HangUp>,
    tasks: Shutdown,
}

impl Running {
    /// `exchange` must hold all it needs: the connection and the slot. `tasks` runs it if nobody else does.
    pub(super) fn new(
        exchange: impl Future<Output = Ended> + Send + 'static,
        hang_up: Option<HangUp>,
        tasks: &Shutdown,
    ) -> Self {
        Self {
            exchange: Some(Box::pin(exchange)),
            hang_up,
            tasks: tasks.clone(),
        }
    }
}

impl Future for Running {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let Some(exchange) = &mut self.exchange else {
            // A future that is ready is not polled again.
            return Poll::Pending;
        };
        let ended = exchange.as_mut().poll(cx);
        if ended.is_ready() {
            self.exchange = None;
        }
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut exchange) = self.exchange.take() else {
            return;
        };
        if let Some(hang_up) = &self.hang_up {
            hang_up.finish();
            // At once, before anything else that the client has sent may reach the app.
            let now = &mut Context::from_waker(Waker::noop());
            if exchange.as_mut().poll(now).is_ready() {
                return;
            }
        }
        let stop = self.tasks.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                // An answer that is dropped unread ends by itself, as one whose client has left.
                ended = exchange => drop(ended),
                () = stop.requested() => {}
            }
        });
    }
}

/// Reads on in an answer whose client has left, in a task of its own, so that the worker becomes free.
pub(super) fn let_end(source: Source, tasks: &Shutdown) {
    let stop = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            _ = timeout(UNWANTED_TIME, discard(source)) => {}
            () = stop.requested() => {}
        }
    });
}

/// Tells the app that the client has left, and holds the slot until it knows.
pub(super) fn hang_up(mut source: Source, tasks: &Shutdown) {
    source.finish_sending();
    let stop = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = until_noticed(source) => {}
            () = stop.requested() => {}
        }
    });
}

/// Bounded by the time in which the app has to send something (`response-idle`).
async fn until_noticed(mut source: Source) {
    let begun = Instant::now();
    let mut left = UNWANTED_BYTES;
    while let Some(Ok(piece)) = poll_fn(|cx| source.poll(cx)).await {
        // What was on its way says nothing about what the app knows.
        let rest = left.checked_sub(piece.len());
        if rest.is_none() || begun.elapsed() >= NOTICED {
            let pause = source.pause();
            source.hang_up().reset();
            let slot = source.close();
            sleep((pause * 2).min(UNWANTED_TIME)).await;
            drop(slot);
            return;
        }
        left = rest.unwrap_or_default();
    }
}

async fn discard(mut source: Source) {
    let mut left = UNWANTED_BYTES;
    while let Some(Ok(piece)) = poll_fn(|cx| source.poll(cx)).await {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}
