//! Turns of the requests that held connections make of their own, so that those of new visitors find a worker. Does not
//! know what is asked.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Time limit of the wait for a turn.
const TURN: Duration = Duration::from_secs(60);
/// Limit on requests of clients that have left: no connection counts them any more.
const MOST_LEFT: usize = 1_000;

/// Limits on such requests of one app.
#[derive(Debug)]
pub(super) struct Turns {
    at_a_time: Semaphore,
    left: Semaphore,
}

/// The right to one request.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _turn: SemaphorePermit<'a>,
    _left: Option<SemaphorePermit<'a>>,
}

impl Turns {
    /// Turns for this many at a time.
    pub(super) fn new(at_a_time: usize) -> Self {
        Self {
            at_a_time: Semaphore::new(at_a_time),
            left: Semaphore::new(MOST_LEFT),
        }
    }

    /// Waits for a turn. `has_left` is true for the request that tells of a client that has left.
    pub(super) async fn take(&self, has_left: bool) -> Result<Turn<'_>, String> {
        let left = has_left.then(|| self.left.try_acquire()).transpose();
        let left = left.map_err(|_| format!("{MOST_LEFT} clients that have left wait already"))?;
        match timeout(TURN, self.at_a_time.acquire()).await {
            Ok(Ok(turn)) => Ok(Turn {
                _turn: turn,
                _left: left,
            }),
            _ => Err(format!("no worker was free for it within {TURN:?}")),
        }
    }
}
