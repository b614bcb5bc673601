//! The stop signal of a source: the server's shutdown, or a reload that removes the source.

use std::future::Future;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::shutdown::Shutdown;

/// The stop signal of one source. Clones share it.
#[derive(Clone)]
pub(super) struct Stop {
    shutdown: Shutdown,
    token: CancellationToken,
}

impl Stop {
    /// A signal that is also given by the shutdown.
    pub(super) fn new(shutdown: &Shutdown) -> Self {
        Self {
            shutdown: shutdown.clone(),
            token: CancellationToken::new(),
        }
    }

    /// Stops the source when the guard is dropped.
    pub(super) fn guard(&self) -> DropGuard {
        self.token.clone().drop_guard()
    }

    /// Runs `work`, and cancels it at its next await point once the source is stopped.
    pub(super) async fn ends(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => {}
            () = self.token.cancelled() => {}
            () = self.shutdown.requested() => {}
        }
    }

    /// True once the source is stopped.
    pub(super) fn is_requested(&self) -> bool {
        self.token.is_cancelled() || self.shutdown.has_begun()
    }

    /// Spawns a task that the shutdown waits for.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shutdown.spawn(task);
    }

    /// Waits for the stop of the source.
    pub(super) async fn requested(&self) {
        self.ends(std::future::pending()).await;
    }
}
