//! Activity of one connection: its requests in progress, and its idle time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::http::spelling::Spelling;
use crate::sync::lock;
use crate::telemetry::CloseReason;

/// Cancelled requests allowed per connection on top of one per answered request (rapid-reset guard,
/// CVE-2023-44487). Leaving a page cancels many at once, hence 200.
const ABANDONED: u64 = 200;

/// The activity of one connection. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests: AtomicUsize,
    /// Number of requests so far.
    request_count: AtomicU64,
    /// True once bytes of the next head have arrived.
    reading: AtomicBool,
    idle_since: Mutex<Instant>,
    close_reason: CloseReason,
    abandoned: AtomicU64,
    answered: AtomicU64,
    too_many: Notify,
    /// Number of the first request whose target has a fragment; 0 if there is none.
    fragment: AtomicU64,
    /// Number of the last request whose head was read for the two facts here; 0 while all are.
    last_read: AtomicU64,
    /// True while there are entries in `spellings`.
    spelled: AtomicBool,
    /// Spellings of the header names of requests that were not dispatched yet, with the numbers of the requests. There
    /// are never more than heads in the read buffer of the connection.
    spellings: Mutex<VecDeque<(u64, Spelling)>>,
}

/// A request without a response yet.
#[derive(Debug)]
pub(crate) struct Pending(Option<Arc<Shared>>);

/// A request in progress, from its head to the end of its response.
#[derive(Debug)]
pub(crate) struct Busy(Option<Arc<Shared>>);

impl Activity {
    /// Creates the activity of a new, idle connection.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            requests: AtomicUsize::new(0),
            request_count: AtomicU64::new(0),
            reading: AtomicBool::new(false),
            idle_since: Mutex::new(Instant::now()),
            close_reason: CloseReason::default(),
            abandoned: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            too_many: Notify::new(),
            fragment: AtomicU64::new(0),
            last_read: AtomicU64::new(0),
            spelled: AtomicBool::new(false),
            spellings: Mutex::default(),
        }))
    }

    /// Begins a request, which ends when the returned guard is dropped.
    #[must_use]
    pub(crate) fn begin(&self) -> Busy {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.request_count.fetch_add(1, Ordering::Relaxed);
        self.0.reading.store(false, Ordering::Relaxed);
        Busy(Some(Arc::clone(&self.0)))
    }

    /// Number of requests so far.
    #[must_use]
    pub(crate) fn request_count(&self) -> u64 {
        self.0.request_count.load(Ordering::Relaxed)
    }

    /// The close reason of the connection.
    #[must_use]
    pub(crate) fn close_reason(&self) -> &CloseReason {
        &self.0.close_reason
    }

    /// Begins a request that awaits its response: it ends with [`answered`](Pending::answered), or counts as
    /// cancelled by its client.
    #[must_use]
    pub(crate) fn pending(&self) -> Pending {
        Pending(Some(Arc::clone(&self.0)))
    }

    /// Ready when the client has cancelled many more requests than were answered. h2 itself counts only cancelled
    /// requests that have not reached Noren yet (CVE-2023-44487); these here have cost the same work.
    pub(crate) async fn many_are_abandoned(&self) {
        self.0.too_many.notified().await;
    }

    /// Records that the target of the request with this number has a fragment. Its refusal ends the connection, so
    /// only the first is kept.
    pub(super) fn saw_fragment(&self, request: u64) {
        let order = Ordering::Relaxed;
        let _ = self.0.fragment.compare_exchange(0, request, order, order);
    }

    /// True if the target of the current request has a fragment.
    pub(super) fn has_fragment(&self) -> bool {
        let fragment = self.0.fragment.load(Ordering::Relaxed);
        fragment > 0 && fragment == self.request_count()
    }

    /// Records that bytes behind the request with this number are not read: neither a fragment nor the spelling of a
    /// later request would be known.
    pub(super) fn passed_over(&self, request: u64) {
        self.0.last_read.store(request, Ordering::Relaxed);
    }

    /// True if the current request came behind bytes that were not read.
    pub(super) fn is_unread(&self) -> bool {
        let last = self.0.last_read.load(Ordering::Relaxed);
        last > 0 && self.request_count() > last
    }

    /// Records the spelling of the header names of the request with this number, unless it is the standard one.
    pub(super) fn spelled(&self, request: u64, spelling: Spelling) {
        if !spelling.is_standard() {
            self.spellings().push_back((request, spelling));
            self.0.spelled.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the spelling of the header names of the current request.
    #[must_use]
    pub(crate) fn spelling(&self) -> Spelling {
        if !self.0.spelled.load(Ordering::Relaxed) {
            return Spelling::default();
        }
        let mut spellings = self.spellings();
        let current = self.request_count();
        let mut found = Spelling::default();
        while spellings
            .front()
            .is_some_and(|(number, _)| *number <= current)
        {
            if let Some((number, spelling)) = spellings.pop_front()
                && number == current
            {
                found = spelling;
            }
        }
        self.0
            .spelled
            .store(!spellings.is_empty(), Ordering::Relaxed);
        found
    }

    fn spellings(&self) -> MutexGuard<'_, VecDeque<(u64, Spelling)>> {
        lock(&self.0.spellings)
    }

    /// True while a request is in progress.
    #[must_use]
    pub(crate) fn is_busy(&self) -> bool {
        self.0.requests.load(Ordering::Relaxed) > 0
    }

    /// Records that an incomplete head has begun to arrive, or that it has not.
    pub(crate) fn reads_head(&self, has_started: bool) {
        self.0.reading.store(has_started, Ordering::Relaxed);
    }

    /// True while a request is in progress or has begun to arrive.
    #[must_use]
    pub(crate) fn is_in_use(&self) -> bool {
        self.is_busy() || self.0.reading.load(Ordering::Relaxed)
    }

    /// Time since the last request in progress ended; zero while one is.
    #[must_use]
    pub(crate) fn idle(&self) -> Duration {
        if self.is_busy() {
            return Duration::ZERO;
        }
        self.quiet()
    }

    /// Time since the last request ended or the connection began, regardless of requests in progress.
    #[must_use]
    pub(crate) fn quiet(&self) -> Duration {
        self.idle_since().elapsed()
    }

    /// Time at which the last request ended or the connection began, regardless of requests in progress.
    #[must_use]
    pub(crate) fn idle_since(&self) -> Instant {
        *lock(&self.0.idle_since)
    }
}

impl Pending {
    /// Records that there is a response, even if it is never delivered.
    pub(crate) fn answered(mut self) {
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

impl Busy {
    /// Ends the request at this time.
    pub(crate) fn end(mut self, now: Instant) {
        self.end_at(|| now);
    }

    fn end_at(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(shared) = self.0.take() {
            *lock(&shared.idle_since) = now();
            shared.requests.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.end_at(Instant::now);
    }
}
