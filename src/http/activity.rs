//! What happens on one connection: whether a request is under way, and since when none is.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::telemetry::Fate;

/// Requests of a connection that may be given up, beside one for each that was answered. A page that is left may
/// give up all of its parts at once.
const ABANDONED: u64 = 200;

/// The activity of one connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests: AtomicUsize,
    begun: AtomicU64,
    /// Bytes of the next head have come.
    reading: AtomicBool,
    idle_since: Mutex<Instant>,
    fate: Fate,
    abandoned: AtomicU64,
    answered: AtomicU64,
    too_many: Notify,
    fragment: AtomicBool,
}

/// A request without an answer yet.
#[derive(Debug)]
pub struct Pending(Option<Arc<Shared>>);

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
            reading: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
            fate: Fate::default(),
            abandoned: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            too_many: Notify::new(),
            fragment: AtomicBool::new(false),
        }))
    }

    /// A request begins; it ends when the returned value is dropped.
    #[must_use]
    pub fn begin(&self) -> Busy {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.reading.store(false, Ordering::Relaxed);
        Busy(Arc::clone(&self.0))
    }

    /// How many requests have begun so far.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// What ends the connection.
    #[must_use]
    pub fn fate(&self) -> &Fate {
        &self.0.fate
    }

    /// A request that is being answered: [`answered`](Pending::answered), or given up by its client.
    #[must_use]
    pub fn pending(&self) -> Pending {
        Pending(Some(Arc::clone(&self.0)))
    }

    /// Ready when the client has given up many more requests than it has let be answered. h2 itself counts only
    /// those that we have not seen yet (CVE-2023-44487); each of these has cost us the same work.
    pub async fn many_are_abandoned(&self) {
        self.0.too_many.notified().await;
    }

    /// Takes note that the target of the request that comes next has a fragment.
    pub(super) fn saw_fragment(&self) {
        self.0.fragment.store(true, Ordering::Relaxed);
    }

    /// Whether the target of the request that has just come has a fragment. Asked once for each.
    pub(super) fn take_fragment(&self) -> bool {
        self.0.fragment.load(Ordering::Relaxed) && self.0.fragment.swap(false, Ordering::Relaxed)
    }

    /// True while a request is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.0.requests.load(Ordering::Relaxed) > 0
    }

    /// Notes whether bytes of a head have come that is not complete yet.
    pub fn reads_head(&self, begun: bool) {
        self.0.reading.store(begun, Ordering::Relaxed);
    }

    /// True while a request is under way or has begun to come.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.is_busy() || self.0.reading.load(Ordering::Relaxed)
    }

    /// How long no request has been under way.
    #[must_use]
    pub fn idle(&self) -> Duration {
        if self.is_busy() {
            return Duration::ZERO;
        }
        self.quiet()
    }

    /// How long ago the last request ended or the connection began, whatever is under way now.
    #[must_use]
    pub fn quiet(&self) -> Duration {
        let since = self
            .0
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.elapsed()
    }
}

impl Pending {
    /// There is an answer, whatever becomes of it.
    pub fn answered(mut self) {
        if let Some(shared) = self.0.take() {
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else {
            return;
        };
        let abandoned = shared.abandoned.fetch_add(1, Ordering::Relaxed) + 1;
        if abandoned > ABANDONED + shared.answered.load(Ordering::Relaxed) {
            shared.too_many.notify_one();
        }
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
