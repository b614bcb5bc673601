//! What happens on one connection: whether a request is under way, and since when none is.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The activity of one connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests: AtomicUsize,
    begun: AtomicU64,
    idle_since: Mutex<Instant>,
}

/// A request under way, from its head to the end of its answer.
#[derive(Debug)]
pub struct Busy(Arc<Shared>);

impl Activity {
    /// A new connection, idle since now.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            requests: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            idle_since: Mutex::new(Instant::now()),
        }))
    }

    /// A request begins; it ends when the returned value is dropped.
    #[must_use]
    pub fn begin(&self) -> Busy {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.0))
    }

    /// How many requests have begun so far.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// True while a request is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.0.requests.load(Ordering::Relaxed) > 0
    }

    /// How long no request has been under way.
    #[must_use]
    pub fn idle(&self) -> Duration {
        if self.is_busy() {
            return Duration::ZERO;
        }
        let since = self
            .0
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.elapsed()
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self
            .0
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}
