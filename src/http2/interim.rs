//! Interim responses (RFC 9110 §15.2) on their way from the handler of a request to its stream.
//!
//! Only the stream has access to h2, so a handler leaves them in a queue, which its stream empties when it is polled.
//! Must not know which fields an interim response may have.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use http::{HeaderMap, Response, StatusCode};

use crate::sync::lock;

/// Limit on interim responses to one request; an app has no reason for more, and further ones are dropped. The
/// server's own 100 does not count.
pub(crate) const MOST_INTERIM: usize = 16;
/// Limit on the bytes of their fields: h2 keeps them for a client that does not read.
const MOST_BYTES: usize = 32 * 1024;

/// The interim responses to one request. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Interim {
    queue: Queue,
    request: u64,
}

/// The queue of a slot, which serves one request after another. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Number of the current request, the only one that may add interim responses.
    request: u64,
    /// Number of interim responses that the current request may still add, and of the bytes of their fields.
    left: usize,
    bytes_left: usize,
    waiting: Vec<Response<()>>,
    /// The waker of the slot.
    waker: Waker,
}

impl Interim {
    /// Sends an interim response to the client, unless the final response was sent or there were too many.
    pub(crate) fn send(&self, status: StatusCode, headers: HeaderMap) {
        let mut state = self.queue.lock();
        let bytes = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len());
        let bytes = bytes.sum();
        if state.request == self.request && state.left > 0 && state.bytes_left >= bytes {
            state.left -= 1;
            state.bytes_left -= bytes;
            state.add(status, headers);
        }
    }

    /// Tells the client to send the body, for which it waits (RFC 9110 §10.1.1).
    pub(super) fn proceed(&self) {
        let mut state = self.queue.lock();
        if state.request == self.request {
            state.add(StatusCode::CONTINUE, HeaderMap::new());
        }
    }
}

impl Queue {
    /// Creates the queue of a slot with this waker.
    pub(super) fn new(waker: Waker) -> Self {
        Self(Arc::new(Mutex::new(State {
            request: 0,
            left: 0,
            bytes_left: 0,
            waiting: Vec::new(),
            waker,
        })))
    }

    /// Begins the next request. What is left of an earlier one is dropped.
    pub(super) fn begin(&self) -> Interim {
        let mut state = self.lock();
        state.request += 1;
        state.left = MOST_INTERIM;
        state.bytes_left = MOST_BYTES;
        state.waiting.clear();
        Interim {
            request: state.request,
            queue: self.clone(),
        }
    }

    /// Takes the interim responses that wait.
    pub(super) fn take(&self) -> Vec<Response<()>> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Takes the last interim responses to the current request: the final one follows.
    pub(super) fn end(&self) -> Vec<Response<()>> {
        let mut state = self.lock();
        state.request += 1;
        std::mem::take(&mut state.waiting)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    fn add(&mut self, status: StatusCode, headers: HeaderMap) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        self.waiting.push(response);
        self.waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::LINK;

    use super::*;

    fn statuses(responses: &[Response<()>]) -> Vec<u16> {
        let statuses = responses.iter().map(|response| response.status().as_u16());
        statuses.collect()
    }

    #[test]
    fn only_the_current_request_sends_interim_responses_and_only_a_few() {
        let queue = Queue::new(Waker::noop().clone());
        let hints = |interim: &Interim| interim.send(StatusCode::EARLY_HINTS, HeaderMap::new());
        let first = queue.begin();
        first.proceed();
        hints(&first);
        assert_eq!(statuses(&queue.take()), [100, 103]);
        hints(&first);
        assert_eq!(statuses(&queue.end()), [103]);
        hints(&first);
        assert_eq!(statuses(&queue.take()), [0; 0], "the final one was sent");
        let second = queue.begin();
        hints(&first);
        first.proceed();
        for _ in 0..2 * MOST_INTERIM {
            hints(&second);
        }
        assert_eq!(queue.take().len(), MOST_INTERIM);

        let third = queue.begin();
        for _ in 0..MOST_INTERIM {
            let value = HeaderValue::from_bytes(&[b'x'; 10_000]).expect("a value");
            third.send(
                StatusCode::EARLY_HINTS,
                HeaderMap::from_iter([(LINK, value)]),
            );
        }
        assert_eq!(queue.take().len(), 3, "in 32 KiB");
    }
}
