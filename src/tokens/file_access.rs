//! Access to files on blocking threads, within limits of time and number. Must not know tokens or file formats.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Limit on concurrent look-ups in files. Each may read thousands of files for an invented token. Without this limit a
/// flood of them would occupy all of tokio's blocking threads, which also resolve host names.
pub(super) const CONCURRENT: usize = 8;

/// Runs look-ups in files. Clones share the limit on their number.
#[derive(Clone)]
pub(super) struct FileAccess {
    /// Time limit of one look-up.
    limit: Duration,
    pub(super) permits: Arc<Semaphore>,
}

impl FileAccess {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            permits: Arc::new(Semaphore::new(CONCURRENT)),
        }
    }

    /// Runs file access on a blocking thread; `None` if it takes too long. The permit is held until it has really
    /// ended, even if its caller has given up.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permits = Arc::clone(&self.permits);
        let reading = async {
            let permit = permits.acquire_owned().await.ok()?;
            let held = move || {
                let done = work();
                drop(permit);
                done
            };
            tokio::task::spawn_blocking(held).await.ok()
        };
        // The semaphore is never closed, and the task fails only when the runtime stops: both are "not in time".
        timeout(self.limit, reading).await.ok().flatten()
    }
}
