//! Abandoned exchanges: the worker stays occupied until the app is done, also when the client has left.
//!
//! A blocking app does not see that a connection is closed: its worker goes on until it has a response, and only
//! then notices. If the permit were released when the client leaves, the next request would be sent to an app
//! whose workers are all busy, and would wait inside of it. So the rest of such an exchange is awaited by a task
//! of its own, which holds the permit, and the response is discarded.
//!
//! An app that does see it is notified at once, if `ignore-client-abort = false` says so: the sending side is shut
//! down, which the app can read, and the connection is reset as soon as the app still writes. The permit is held
//! until the app closes its side, or for about as long as it needs to notice the reset.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, sleep, timeout};

use crate::shutdown::Shutdown;
use crate::upstream::connection::{HangUp, SendError};
use crate::upstream::response_reader::Source;
use crate::upstream::workers::Slot;
use crate::upstream::{Answer, Payload, UpstreamError};

/// Limits on an abandoned response, in bytes and in time. Then it is closed, which the app notices with its next
/// write.
const UNWANTED_BYTES: usize = 16 * 1024 * 1024;
const UNWANTED_TIME: Duration = Duration::from_secs(10);

/// Time within which an app notices the state of its connection.
const NOTICED: Duration = Duration::from_millis(50);

/// Result of an exchange. If it failed in a way that may permit another attempt, request and permit come back.
pub(super) type Ended = Result<Result<Response<Answer>, Box<Failed>>, UpstreamError>;

/// A failed exchange, with what another attempt needs.
pub(super) struct Failed {
    pub(super) error: SendError,
    /// The request, without its body.
    pub(super) request: Request<Payload>,
    pub(super) slot: Slot,
}

/// An exchange in progress.
pub(super) struct Running {
    exchange: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    /// Handle to notify the app when the client leaves.
    hang_up: Option<HangUp>,
    tasks: Shutdown,
}

impl Running {
    /// Creates a running exchange. `exchange` must own the connection and the permit; `tasks` runs it if this is
    /// dropped.
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

/// Reads the rest of an abandoned response in a task of its own, so that the worker becomes free.
pub(super) fn let_end(source: Source, tasks: &Shutdown) {
    let stop = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            _ = timeout(UNWANTED_TIME, discard(source)) => {}
            () = stop.requested() => {}
        }
    });
}

/// Notifies the app that the client has left, and holds the permit until it has noticed.
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

/// Waits until the app has noticed, for as long as it may be silent in a response (`response-idle`).
async fn until_noticed(mut source: Source) {
    let begun = Instant::now();
    let mut left = UNWANTED_BYTES;
    while let Some(Ok(piece)) = poll_fn(|cx| source.poll(cx)).await {
        // Bytes in flight do not show that the app has noticed anything.
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
