//! The stop signal and the tracker of everything that is still running.
//!
//! hyper's graceful shutdown forgets upgraded connections, so tunnels are tracked here. Nothing in the
//! server is spawned past this tracker: what is not tracked could neither be waited for nor be named.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tells tasks to stop, and knows how many still run. Clones share one state.
///
/// A stop has two steps, which come at once but for an upgrade: there, what is at hand comes to an end in this
/// process, and tunnels go on in it while another process serves what is new.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    tunnels: CancellationToken,
    tasks: TaskTracker,
    /// Those that never end by themselves and that nothing is lost with.
    keepers: TaskTracker,
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

    /// Runs a task that looks after others until all of them have ended: see
    /// [`tunnels_requested`](Self::tunnels_requested).
    pub fn spawn_keeper<F>(&self, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.keepers.spawn(task);
    }

    /// Tells every task to come to an end, tunnels too.
    pub fn begin(&self) {
        self.retire();
        self.tunnels.cancel();
    }

    /// Tells every task but the tunnels to come to an end.
    pub fn retire(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.keepers.close();
    }

    /// How many tasks there are.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Returns when every task has ended, after a [`retire`](Self::retire).
    pub async fn all_ended(&self) {
        self.tasks.wait().await;
    }

    /// Returns when tunnels are to end too, at once if they were.
    pub async fn tunnels_requested(&self) {
        self.tunnels.cancelled().await;
    }

    /// True once [`begin`](Self::begin) was called: this is not only an upgrade.
    #[must_use]
    pub fn tunnels_have_to_end(&self) -> bool {
        self.tunnels.is_cancelled()
    }

    /// True once [`begin`](Self::begin) or [`retire`](Self::retire) was called.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Returns when [`begin`](Self::begin) or [`retire`](Self::retire) is called, at once if it was.
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
