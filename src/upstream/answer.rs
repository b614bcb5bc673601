//! The body of the app's answer. It holds the connection and the worker's slot until it ends, also when nobody
//! reads it any more.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::http::{BoxError, Stall};
use crate::upstream::Upstream;
use crate::upstream::connection::Connection;
use crate::upstream::queue::Slot;
use crate::upstream::running::let_end;

/// The body of an answer.
pub struct Answer {
    /// None when it has ended.
    exchange: Option<Exchange>,
    /// Whether it is read to its end even if nobody wants it.
    is_read_on: bool,
}

struct Exchange {
    body: Incoming,
    idle: Stall,
    connection: Connection,
    upstream: Arc<Upstream>,
    _slot: Slot,
}

impl Answer {
    /// The body that belongs to `headers`.
    pub(super) fn new(
        headers: &HeaderMap,
        body: Incoming,
        connection: Connection,
        slot: Slot,
        upstream: Arc<Upstream>,
    ) -> Self {
        Self {
            exchange: Some(Exchange {
                body,
                idle: Stall::new(upstream.settings.response_idle),
                connection,
                upstream,
                _slot: slot,
            }),
            is_read_on: !is_endless(headers),
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

    /// The text is the cause of the early end in the log.
    fn fail(&mut self, error: impl Into<BoxError>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.exchange = None;
        Poll::Ready(Some(Err(error.into())))
    }

    /// The same answer, to be read on although its client has left; none if it would have no end.
    pub(super) fn unwanted(mut self) -> Option<Self> {
        std::mem::take(&mut self.is_read_on).then_some(self)
    }
}

/// Whether the app says that its answer goes on as long as somebody listens: it ends only with its connection.
fn is_endless(headers: &HeaderMap) -> bool {
    let begins = |name, text: &[u8]| {
        let value = headers.get(name).map(HeaderValue::as_bytes);
        let start = value.and_then(|value: &[u8]| value.get(..text.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    begins("content-type", b"text/event-stream") || begins("x-accel-buffering", b"no")
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(exchange) = &mut this.exchange else {
            return Poll::Ready(None);
        };
        // Twice: asking for data makes the driver read, and what it read is then to be had.
        for _ in 0..2 {
            match Pin::new(&mut exchange.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    exchange.idle.progressed();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(error))) => {
                    let text = format!("the app broke off in the middle of its answer: {error}");
                    return this.fail(text);
                }
                Poll::Ready(None) => {
                    this.finish();
                    return Poll::Ready(None);
                }
                // Nothing yet; or trailers, which are dropped, as a request's are.
                Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
            }
            exchange.connection.drive(cx);
        }
        if exchange.idle.waited(cx) {
            let error = io::Error::new(
                io::ErrorKind::TimedOut,
                "the app stopped in the middle of its answer",
            );
            return this.fail(error);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let exchange = self.exchange.as_ref();
        exchange.is_none_or(|exchange| exchange.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let exchange = self.exchange.as_ref();
        exchange.map_or_else(
            || SizeHint::with_exact(0),
            |exchange| exchange.body.size_hint(),
        )
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // hyper does not ask again when it knows from the length that the body is complete.
        if self.is_end_stream() || !self.is_read_on {
            // In the middle of a body the connection is not idle, and is closed.
            self.finish();
        } else if let Some(exchange) = self.exchange.take() {
            let tasks = exchange.upstream.tasks.clone();
            let answer = Self {
                exchange: Some(exchange),
                is_read_on: false,
            };
            let_end(answer, &tasks);
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}
