//! The stop signal and the tracker of everything that is still running.
//!
//! hyper's graceful shutdown forgets upgraded connections, so tunnels are tracked here. Nothing in the
//! server is spawned past this tracker: what is not tracked could neither be waited for nor be named.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tells tasks to stop, and knows how many still run. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Tasks (connections and tunnels) that were cut off because the grace had passed; 0 after a clean end.
    pub left: usize,
}

impl Shutdown {
    /// A signal that has not been given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task that a drain waits for.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// Tells every task to come to an end.
    pub fn begin(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    /// True once [`begin`](Self::begin) was called.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Returns when [`begin`](Self::begin) is called, at once if it was.
    pub async fn requested(&self) {
        self.stop.cancelled().await;
    }

    /// The same as [`requested`](Self::requested), as a future that owns what it needs.
    pub fn requested_owned(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.stop.clone().cancelled_owned()
    }

    /// Waits until every task has ended, at most for `grace`.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.begin();
        let ended = tokio::time::timeout(grace, self.tasks.wait()).await;
        Drained {
            left: if ended.is_ok() { 0 } else { self.tasks.len() },
        }
    }
}
