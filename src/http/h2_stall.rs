//! Stall detection for HTTP/2 responses.
//!
//! A client can keep the window of a stream closed and otherwise use the connection normally. hyper then never polls
//! the body for its next piece, and the socket shows no sign of it, so no other limit applies: the body, and the worker
//! of the app behind it, would be occupied for ever. So each connection keeps a list of its bodies, and drops those
//! that have waited for their client for a whole limit.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use slab::Slab;

use crate::http::activity::Busy;
use crate::http::body::{Body, BoxError};
use crate::http::stall::{Rate, Stall};
use crate::sync::lock;

/// The responses in progress on one HTTP/2 connection. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    answers: Arc<Mutex<Slab<Arc<Mutex<Held>>>>>,
    /// Minimum rate at which a client must read a response.
    rate: Rate,
}

/// State of a response until it ends or is dropped.
#[derive(Debug)]
struct Held {
    body: Option<(Body, Busy)>,
    /// True while the client holds a piece and has not polled for the next.
    waits_for_client: bool,
    /// True if the client held the same piece already at the previous scan.
    seen_waiting: bool,
    /// Timer for the total time that the client has taken to read.
    pace: Stall,
    /// Size of the piece that was passed to hyper last.
    handed_out: usize,
}

/// The body of a watched response.
struct Watched {
    number: usize,
    held: Arc<Mutex<Held>>,
    watch: Watch,
}

impl Watch {
    /// Creates the watch of a new connection, with a minimum rate.
    #[must_use]
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            answers: Arc::default(),
            rate,
        }
    }

    /// Watches a response; `busy` marks it as in progress.
    #[must_use]
    pub(crate) fn over(&self, body: Body, busy: Busy) -> Body {
        let held = Arc::new(Mutex::new(Held {
            body: Some((body, busy)),
            waits_for_client: true,
            seen_waiting: false,
            pace: Stall::with_rate(Duration::MAX, self.rate),
            handed_out: 0,
        }));
        let number = lock(&self.answers).insert(Arc::clone(&held));
        let watch = self.clone();
        Watched {
            number,
            held,
            watch,
        }
        .boxed_unsync()
    }

    /// Drops all responses that have waited for their client since the previous scan, or whose client reads too slowly.
    /// To be called once per limit.
    pub(crate) fn look(&self) {
        let answers: Vec<_> = {
            let answers = lock(&self.answers);
            answers.iter().map(|(_, held)| Arc::clone(held)).collect()
        };
        for held in answers {
            let mut held = lock(&held);
            let trickles = held.pace.too_slow().is_some();
            let late = held.waits_for_client && (held.seen_waiting || trickles);
            held.seen_waiting = held.waits_for_client;
            if late {
                held.body = None;
            }
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut held = lock(&self.held);
        let taken = std::mem::take(&mut held.handed_out);
        held.pace.progressed_by(taken);
        let Some((body, _)) = &mut held.body else {
            let error = io::Error::new(
                io::ErrorKind::TimedOut,
                "the client did not take the answer",
            );
            return Poll::Ready(Some(Err(error.into())));
        };
        let polled = Pin::new(body).poll_frame(cx);
        held.waits_for_client = polled.is_ready();
        held.seen_waiting = false;
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            held.handed_out = frame.data_ref().map_or(0, Bytes::len);
            held.pace.begin();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.held)
            .body
            .as_ref()
            .is_some_and(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.held)
            .body
            .as_ref()
            .map_or_else(SizeHint::default, |(body, _)| body.size_hint())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        lock(&self.watch.answers).try_remove(self.number);
    }
}
