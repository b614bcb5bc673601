//! The app's answer as it comes from the app. It holds the connection and the worker's slot until it ends.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;

use crate::http::{BoxError, Stall};
use crate::upstream::Upstream;
use crate::upstream::connection::Connection;
use crate::upstream::queue::Slot;

/// How much of an answer is read before its head goes on to the client. hyper reads no further ahead at first,
/// so most pages are complete with it.
const AHEAD: usize = 64 * 1024;

/// The body of an answer, and what it takes at the app.
pub(super) struct Source {
    body: Incoming,
    exchange: Option<Exchange>,
    idle: Stall,
}

struct Exchange {
    connection: Connection,
    upstream: Arc<Upstream>,
    _slot: Slot,
}

/// What has come of an answer by the time its head goes on.
pub(super) struct Beginning {
    pub(super) pieces: VecDeque<Bytes>,
    pub(super) end: End,
}

/// What follows a beginning.
pub(super) enum End {
    /// Nothing: the worker is free already.
    Complete,
    /// More.
    Open(Source),
    /// The app broke off.
    Broken(BoxError),
}

impl Source {
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

    /// Takes what is there without waiting.
    pub(super) fn begin(mut self, cx: &mut Context<'_>) -> Beginning {
        let mut pieces = VecDeque::new();
        let mut bytes = 0;
        let end = loop {
            if self.body.is_end_stream() {
                self.finish();
                break End::Complete;
            }
            if bytes >= AHEAD {
                break End::Open(self);
            }
            match self.poll(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    bytes += piece.len();
                    pieces.push_back(piece);
                }
                Poll::Ready(Some(Err(error))) => break End::Broken(error),
                Poll::Ready(None) => break End::Complete,
                Poll::Pending => break End::Open(self),
            }
        };
        Beginning { pieces, end }
    }

    /// The next piece; none at the end, by which connection and slot are given back.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        // Twice: asking for data makes the driver read, and what it read is then to be had.
        for _ in 0..2 {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are dropped, as a request's are.
                    if let Ok(data) = frame.into_data() {
                        self.idle.progressed();
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return self.fail(error),
                Poll::Ready(None) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Poll::Pending => {}
            }
            if let Some(exchange) = &mut self.exchange {
                exchange.connection.drive(cx);
            }
        }
        if self.idle.waited(cx) {
            return self.fail(io::Error::new(
                io::ErrorKind::TimedOut,
                "the app stopped in the middle of its answer",
            ));
        }
        Poll::Pending
    }

    /// How many bytes are still to come, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
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

    fn fail(&mut self, error: impl Into<BoxError>) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.exchange = None;
        Poll::Ready(Some(Err(error.into())))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // hyper does not ask again when it knows from the length that the body is complete. In the middle
        // of a body the connection is not idle, and is closed.
        self.finish();
    }
}
