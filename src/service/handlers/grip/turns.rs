//! Limits on the requests that held connections send by themselves, so that workers remain for new visitors. Must not
//! know the purpose of a request.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Time limit of the wait for permission to send a request.
const TURN: Duration = Duration::from_secs(60);
/// Limit on requests of connections whose clients have left: the limit on connections no longer covers them.
const MOST_LEFT: usize = 1_000;

/// Limits on such requests to one app.
#[derive(Debug)]
pub(super) struct RequestPermits {
    at_a_time: Semaphore,
    left: Semaphore,
}

/// The right to one request.
#[derive(Debug)]
pub(super) struct RequestPermit<'a> {
    _turn: SemaphorePermit<'a>,
    _left: Option<SemaphorePermit<'a>>,
}

impl RequestPermits {
    /// Creates the limits, for `at_a_time` concurrent requests.
    pub(super) fn new(at_a_time: usize) -> Self {
        Self {
            at_a_time: Semaphore::new(at_a_time),
            left: Semaphore::new(MOST_LEFT),
        }
    }

    /// Waits until a request may be sent. `has_left` is true for the request that reports that a client has left.
    pub(super) async fn take(&self, has_left: bool) -> Result<RequestPermit<'_>, String> {
        let left = has_left.then(|| self.left.try_acquire()).transpose();
        let left = left.map_err(|_| format!("{MOST_LEFT} clients that have left wait already"))?;
        match timeout(TURN, self.at_a_time.acquire()).await {
            Ok(Ok(turn)) => Ok(RequestPermit {
                _turn: turn,
                _left: left,
            }),
            _ => Err(format!("no worker was free for it within {TURN:?}")),
        }
    }
}
