//! The body of the app's answer. It holds the connection and the worker's slot until it ends.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::http::{BoxError, Stall};
use crate::upstream::Upstream;
use crate::upstream::connection::Connection;
use crate::upstream::queue::Slot;

/// The body of an answer.
pub struct Answer {
    body: Incoming,
    exchange: Option<Exchange>,
    idle: Stall,
}

struct Exchange {
    connection: Connection,
    upstream: Arc<Upstream>,
    _slot: Slot,
}

impl Answer {
    pub(super) fn new(
        body: Incoming,
        connection: Connection,
        slot: Slot,
        upstream: Arc<Upstream>,
    ) -> Self {
        Self {
            body,
            idle: Stall::new(upstream.settings.response_idle),
            exchange: Some(Exchange {
                connection,
                upstream,
                _slot: slot,
            }),
        }
    }

    /// Gives the slot back, and the connection too, if the exchange is complete on both sides.
    fn finish(&mut self) {
        if let Some(Exchange {
            connection,
            upstream,
            ..
        }) = self.exchange.take()
        {
            upstream.take_back(connection);
        }
    }

    fn fail(&mut self, error: impl Into<BoxError>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.exchange = None;
        Poll::Ready(Some(Err(error.into())))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        // Twice: asking for data makes the driver read, and what it read is then to be had.
        for _ in 0..2 {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    this.idle.progressed();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(error))) => return this.fail(error),
                Poll::Ready(None) => {
                    this.finish();
                    return Poll::Ready(None);
                }
                // Nothing yet; or trailers, which are dropped, as a request's are.
                Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
            }
            if let Some(exchange) = &mut this.exchange {
                exchange.connection.drive(cx);
            }
        }
        if this.idle.waited(cx) {
            let error = io::Error::new(
                io::ErrorKind::TimedOut,
                "the app stopped in the middle of its answer",
            );
            return this.fail(error);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // hyper does not ask again when it knows from the length that the body is complete. In the middle
        // of a body the connection is not idle, and is closed.
        self.finish();
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}
