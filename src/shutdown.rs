//! The stop signal, and the tracker of all running tasks.
//!
//! hyper's graceful shutdown forgets upgraded connections, so tunnels are tracked here. The server spawns no task
//! outside this tracker: an untracked task could neither be waited for nor be named.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Signals tasks to stop, and tracks those that still run. Clones share one state.
///
/// A stop has two steps, which coincide except in an upgrade: there, requests in progress end in this process and
/// tunnels continue, while another process serves everything new.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<Signals>);

/// The signals and trackers. A clone of each would take locks, and each request to an app has a clone.
#[derive(Debug, Default)]
struct Signals {
    stop: CancellationToken,
    tunnels: CancellationToken,
    tasks: TaskTracker,
    /// Background tasks that never end by themselves, and lose nothing when they are cut off.
    keepers: TaskTracker,
}

/// Result of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Number of tasks (connections and tunnels) that were cut off at the end of the grace period; 0 after a clean
    /// end.
    pub left: usize,
}

impl Shutdown {
    /// Creates a signal that is not given yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task that a drain waits for.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.tasks.spawn(task);
    }

    /// Spawns a background task that serves others until all of them have ended: see
    /// [`tunnels_requested`](Self::tunnels_requested).
    pub fn spawn_keeper<F>(&self, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.keepers.spawn(task);
    }

    /// Signals all tasks to end, including tunnels.
    pub fn begin(&self) {
        self.retire();
        self.0.tunnels.cancel();
    }

    /// Signals all tasks except tunnels to end.
    pub fn retire(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.keepers.close();
    }

    /// Number of running tasks.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.tasks.len()
    }

    /// Waits until all tasks have ended, after a [`retire`](Self::retire).
    pub async fn all_ended(&self) {
        self.0.tasks.wait().await;
    }

    /// Waits for the signal to tunnels; returns at once if it was given.
    pub async fn tunnels_requested(&self) {
        self.0.tunnels.cancelled().await;
    }

    /// True once [`begin`](Self::begin) was called, that is, outside of an upgrade.
    #[must_use]
    pub fn tunnels_have_to_end(&self) -> bool {
        self.0.tunnels.is_cancelled()
    }

    /// True once [`begin`](Self::begin) or [`retire`](Self::retire) was called.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// Waits for [`begin`](Self::begin) or [`retire`](Self::retire); returns at once if one was called.
    pub async fn requested(&self) {
        self.0.stop.cancelled().await;
    }

    /// Like [`requested`](Self::requested), as a future that owns its data.
    pub fn requested_owned(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.0.stop.clone().cancelled_owned()
    }

    /// Waits until all tasks have ended, at most for `grace`.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.begin();
        let ended = tokio::time::timeout(grace, self.0.tasks.wait()).await;
        Drained {
            left: if ended.is_ok() { 0 } else { self.0.tasks.len() },
        }
    }
}
