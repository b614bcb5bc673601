//! Aborts a failed response body only after the bytes before the failure have been sent.
//!
//! When a body fails, hyper closes the HTTP/1.1 connection at once, and `http2` resets the HTTP/2 stream. Both drop the
//! bytes that are not written yet, often the head itself. A client that gets no byte of a response repeats the request,
//! even a POST (RFC 9110 §9.2.2 permits that), while it takes a response that is shorter than its length or lacks its
//! last chunk for an incomplete one (RFC 9112 §8, RFC 9113 §8.1). Must not know the origin of a body.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::time::{Instant, Sleep, sleep};

/// Delay between the last bytes of an HTTP/2 stream and its reset. A client that reads both at once may drop the
/// response with the stream, as curl does.
const RESET_LAG: Duration = Duration::from_millis(100);

use crate::http::body::BoxError;
use crate::sync::lock;

/// Signal for completed flushes of one connection: the transport reports them, and a failed body waits for the
/// next. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flushes(Arc<Mutex<Option<Sender<()>>>>);

impl Flushes {
    /// Reports that everything written before has been passed to the system.
    pub(super) fn completed(&self) {
        // Dropping the sender is the signal.
        drop(self.lock().take());
    }

    /// Resolves with the next completed flush.
    pub(super) fn next(&self) -> Receiver<()> {
        let (sender, receiver) = channel();
        *self.lock() = Some(sender);
        receiver
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Sender<()>>> {
        lock(&self.0)
    }
}

/// The method of detecting that bytes were sent.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    /// HTTP/1.1: a completed flush of the connection, which its writer performs while the body is pending.
    Flushed(Flushes),
    /// HTTP/2: the drop of an empty DATA frame, which h2 queues behind the frames of the stream.
    Fenced,
}

/// A body that delays its failure until the bytes before it have been sent, up to a limit.
pub(crate) struct AbortAfterFlush<B> {
    body: B,
    sent: Sent,
    limit: Duration,
    failure: Option<Failure>,
}

struct Failure {
    error: BoxError,
    flushed: Receiver<()>,
    /// The empty frame that is still to be queued.
    fence: Option<Bytes>,
    /// Delay between the flush and the failure.
    lag: Duration,
    is_flushed: bool,
    clock: Pin<Box<Sleep>>,
}

/// Owner of the empty frame's bytes; its drop signals that the frame was written.
struct Fence(#[expect(dead_code, reason = "dropping it is the signal")] Sender<()>);

impl AsRef<[u8]> for Fence {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

impl<B> AbortAfterFlush<B> {
    /// Wraps the body of a response. The failure is passed on after `limit` even if the client has not read what was
    /// sent.
    pub(crate) fn new(body: B, sent: Sent, limit: Duration) -> Self {
        Self {
            body,
            sent,
            limit,
            failure: None,
        }
    }
}

impl<B> AbortAfterFlush<B> {
    /// The body within.
    pub(crate) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }
}

impl Failure {
    fn new(error: BoxError, sent: &Sent, limit: Duration) -> Self {
        let (flushed, fence, lag) = match sent {
            Sent::Flushed(flushes) => (flushes.next(), None, Duration::ZERO),
            Sent::Fenced => {
                let (sender, receiver) = channel();
                let fence = Bytes::from_owner(Fence(sender));
                (receiver, Some(fence), RESET_LAG.min(limit))
            }
        };
        Self {
            error,
            flushed,
            fence,
            lag,
            is_flushed: false,
            clock: Box::pin(sleep(limit)),
        }
    }
}

impl Failure {
    /// Ready when the failure may be passed on: the bytes were sent, or the limit has passed.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_flushed && Pin::new(&mut self.flushed).poll(cx).is_ready() {
            self.is_flushed = true;
            if self.lag.is_zero() {
                return Poll::Ready(());
            }
            self.clock.as_mut().reset(Instant::now() + self.lag);
        }
        self.clock.as_mut().poll(cx)
    }
}

impl<B> Body for AbortAfterFlush<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.failure.is_none() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Err(error))) => {
                    this.failure = Some(Failure::new(error, &this.sent, this.limit));
                }
                other => return other,
            }
        }
        let Some(failure) = &mut this.failure else {
            return Poll::Pending;
        };
        if let Some(fence) = failure.fence.take() {
            return Poll::Ready(Some(Ok(Frame::data(fence))));
        }
        if failure.poll_due(cx).is_pending() {
            return Poll::Pending;
        }
        let failure = this.failure.take();
        Poll::Ready(failure.map(|failure| Err(failure.error)))
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> fmt::Debug for AbortAfterFlush<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortAfterFlush").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_reset_some_time_after_its_last_bytes() {
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"half"))),
            Err(BoxError::from("broken")),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let mut body = AbortAfterFlush::new(body, Sent::Fenced, Duration::from_secs(9));
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
        let fence = body.frame().await.and_then(Result::ok);
        let started_at = Instant::now();
        drop(fence);
        assert!(body.frame().await.is_some_and(|frame| frame.is_err()));
        assert!(started_at.elapsed() >= RESET_LAG && started_at.elapsed() < RESET_LAG * 2);
    }
}
