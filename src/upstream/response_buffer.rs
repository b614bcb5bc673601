//! Response buffering: takes a response off the worker faster than its client reads it (nginx: `proxy_buffering`).
//!
//! A client that keeps up reads the response directly, which costs a lock. The scan of [`SlowClients`] finds clients
//! that do not fetch the next piece. From then on a task reads the response as fast as the app sends it, to memory and
//! then to disk, and the worker is free when the response is complete. Without more room the task waits for the client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::http::BoxError;
use crate::shares::Client;
use crate::upstream::Upstream;
use crate::upstream::response_flow::Flow;
use crate::upstream::response_reader::Source;
use crate::upstream::slow_clients::Registration;

/// The client's side of a buffered response.
pub(super) struct ResponseBuffer {
    flow: Arc<Flow>,
    /// Number of bytes that the client has not received yet, if it is known.
    left: Option<u64>,
    registration: Registration,
}

impl ResponseBuffer {
    pub(super) fn new(
        pieces: VecDeque<Bytes>,
        source: Source,
        client: Client,
        upstream: &Arc<Upstream>,
    ) -> Self {
        let here: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let left = source.left().map(|left| left + here);
        let flow = Arc::new(Flow::new(pieces, source, client, &upstream.spool));
        let registration = upstream.slow_clients.watch(&flow, upstream);
        Self {
            flow,
            left,
            registration,
        }
    }

    /// Number of bytes that the client has not received yet, if it is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Returns the next piece for the client.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let polled = self.flow.poll(cx);
        if let (Some(left), Poll::Ready(Some(Ok(piece)))) = (&mut self.left, &polled) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        polled
    }
}

impl Drop for ResponseBuffer {
    fn drop(&mut self) {
        self.registration.unregister();
        self.flow.leave();
    }
}
