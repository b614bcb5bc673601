//! Abandoned exchanges: the worker stays occupied until the app is done, even if the client has left.
//!
//! A blocking app does not see that a connection is closed: its worker continues until it has a response, and only
//! notices then. If the permit were released when the client leaves, the next request would be sent to an app whose
//! workers are all busy, and would wait inside the app. So a task of its own awaits the rest of such an exchange, holds
//! the permit, and discards the response.
//!
//! An app that does see it is notified at once, if `ignore-client-abort = false` says so: the sending side is shut
//! down, which the app can read, and the connection is reset if the app still writes. The permit is held until the app
//! closes its side, or for about as long as it needs to notice the reset.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};

use crate::shutdown::Shutdown;
use crate::upstream::connection::{HangUp, SendError};
use crate::upstream::workers::WorkerPermit;
use crate::upstream::{Payload, UpstreamBody, UpstreamError};

/// Result of an exchange. If it failed in a way that may permit another attempt, it returns the request and the permit.
pub(super) type Ended = Result<Result<Response<UpstreamBody>, Box<Failed>>, UpstreamError>;

/// A failed exchange, with what another attempt needs.
pub(super) struct Failed {
    pub(super) error: SendError,
    /// The request, without its body.
    pub(super) request: Request<Payload>,
    pub(super) permit: WorkerPermit,
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

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}
