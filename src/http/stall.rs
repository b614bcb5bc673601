//! A limit on how long something may make no progress.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Measures the time without progress. The timer exists only while something waits, so that what is idle
/// or fast carries none.
#[derive(Debug)]
pub struct Stall {
    limit: Duration,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// A limit whose time has not begun.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, clock: None }
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Something got on: the time begins anew with the next [`waited`](Self::waited).
    pub fn progressed(&mut self) {
        self.clock = None;
    }

    /// Still waiting. True once the limit has passed; until then the task is woken when it does.
    pub fn waited(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(limit)));
        clock.as_mut().poll(cx).is_ready()
    }
}
