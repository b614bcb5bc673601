//! Stall detection for HTTP/2 responses.
//!
//! A client can keep the window of a stream closed and otherwise use the connection normally. The body is then never
//! polled for its next piece, and the socket shows no sign of it, so no other limit applies: the body, and the worker
//! of the app behind it, would be occupied for ever. So each connection scans its bodies from time to time, and resets
//! the streams of those that have waited for their client for a whole limit.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http::stall::{Rate, Stall};

/// The body of a response that observes the pace of its client.
#[derive(Debug)]
pub(crate) struct Paced<B> {
    body: B,
    /// True while the client holds a piece and has not polled for the next.
    waits_for_client: bool,
    /// True if the client held the same piece already at the previous scan.
    seen_waiting: bool,
    /// Timer for the total time that the client has taken to read.
    pace: Stall,
    /// Size of the piece that was passed on last.
    handed_out: usize,
}

impl<B> Paced<B> {
    /// Wraps a body whose client must read at this rate.
    #[must_use]
    pub(crate) fn new(body: B, rate: Rate) -> Self {
        Self {
            body,
            waits_for_client: true,
            seen_waiting: false,
            pace: Stall::with_rate(Duration::MAX, rate),
            handed_out: 0,
        }
    }

    /// The body within.
    pub(crate) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Scans the body, once per limit. True if it has waited for its client since the previous scan, or the client
    /// reads too slowly.
    pub(crate) fn is_late(&mut self) -> bool {
        let trickles = self.pace.too_slow().is_some();
        let late = self.waits_for_client && (self.seen_waiting || trickles);
        self.seen_waiting = self.waits_for_client;
        late
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let taken = std::mem::take(&mut this.handed_out);
        this.pace.progressed_by(taken);
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        this.waits_for_client = polled.is_ready();
        this.seen_waiting = false;
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.handed_out = frame.data_ref().map_or(0, Bytes::len);
            this.pace.begin();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_body_is_late_once_two_scans_find_the_same_piece_with_its_client() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let first = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(Frame::data(
            Bytes::from_static(b"first"),
        ))]);
        let second = futures_util::stream::once(async move {
            let _ = receiver.await;
            Ok(Frame::data(Bytes::from_static(b"second")))
        });
        let frames = Box::pin(futures_util::StreamExt::chain(first, second));
        let mut body = Paced::new(StreamBody::new(frames), Rate::NONE);
        assert!(!body.is_late());
        assert!(body.frame().await.is_some());
        assert!(!body.is_late(), "it took the first piece meanwhile");
        assert!(body.is_late());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        assert!(!body.is_late() && !body.is_late(), "it waits for the app");
        assert!(sender.send(()).is_ok());
        assert!(body.frame().await.is_some());
        assert!(!body.is_late() && body.is_late());
    }
}
