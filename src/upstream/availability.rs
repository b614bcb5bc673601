//! Availability of one address of an app: if requests may be sent there now.
//!
//! An address is open unless an operator drains it, a recent connection to it has failed, its health check fails, or it
//! does not respond at all. The queues that assign its workers are notified of each change. Must not know connections
//! and requests.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use crate::sync::lock;

/// A reason why an address is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClosedReason {
    /// An operator drains it.
    Drained = 1,
    /// Connecting to it has failed, and has not succeeded since.
    Unreachable = 2,
    /// Its health check fails.
    Unhealthy = 4,
    /// It accepts connections and does not respond, even to a probe.
    Silent = 8,
}

/// Callback for changes; it returns false once it is no longer needed.
type Subscriber = Arc<dyn Fn() -> bool + Send + Sync>;

/// The availability of one address. All users of the address share it, and it outlives a reload.
#[derive(Default)]
pub(super) struct Availability {
    /// One bit for each reason.
    closed: AtomicU8,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    unhealthy_since: Option<Instant>,
    /// Queues to notify, by their number.
    subscribers: Vec<(usize, Subscriber)>,
}

impl Availability {
    /// True if requests may be sent there.
    pub(super) fn is_open(&self) -> bool {
        self.closed.load(Ordering::Relaxed) == 0
    }

    /// True if the address is closed for this reason.
    pub(super) fn is(&self, reason: ClosedReason) -> bool {
        self.closed.load(Ordering::Relaxed) & reason as u8 != 0
    }

    /// Time since which its health check has failed.
    pub(super) fn unhealthy_since(&self) -> Option<Instant> {
        // Every request of an app with a health check comes by here.
        if self.is(ClosedReason::Unhealthy) {
            self.lock().unhealthy_since
        } else {
            None
        }
    }

    /// Adds or removes a reason; true if that changed anything.
    pub(super) fn set(&self, reason: ClosedReason, holds: bool) -> bool {
        // Every connection comes by here, so nothing is written without need.
        if self.is(reason) == holds {
            return false;
        }
        let bit = reason as u8;
        let mut rest = self.lock();
        let before = if holds {
            self.closed.fetch_or(bit, Ordering::Relaxed)
        } else {
            self.closed.fetch_and(!bit, Ordering::Relaxed)
        };
        if reason == ClosedReason::Unhealthy {
            rest.unhealthy_since = holds.then(Instant::now);
        }
        // Called without the lock, because a subscriber looks at this in turn. Each change calls all of them, also one
        // that comes while another is being told: the last call sees both.
        let subscribers = rest.subscribers.clone();
        drop(rest);
        for (queue, notify) in subscribers {
            if !notify() {
                let is_it = |(number, known): &(usize, Subscriber)| {
                    *number == queue && Arc::ptr_eq(known, &notify)
                };
                self.lock().subscribers.retain(|known| !is_it(known));
            }
        }
        (before & bit != 0) != holds
    }

    /// Registers the queue with this number for notifications of changes.
    pub(super) fn subscribe(
        &self,
        queue: usize,
        notify: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        let mut rest = self.lock();
        rest.subscribers.retain(|(number, _)| *number != queue);
        rest.subscribers.push((queue, Arc::new(notify)));
    }

    fn lock(&self) -> MutexGuard<'_, Rest> {
        lock(&self.rest)
    }
}

impl fmt::Debug for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Availability")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn an_address_is_open_again_when_no_reason_is_left_and_each_change_is_told_once() {
        let availability = Availability::default();
        let told = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&told);
        availability.subscribe(1, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            true
        });
        assert!(availability.set(ClosedReason::Drained, true));
        assert!(!availability.set(ClosedReason::Drained, true), "no change");
        assert!(availability.set(ClosedReason::Unhealthy, true));
        assert!(availability.unhealthy_since().is_some());
        assert!(availability.set(ClosedReason::Drained, false));
        assert!(!availability.is_open());
        assert!(availability.set(ClosedReason::Unhealthy, false));
        assert!(availability.is_open() && availability.unhealthy_since().is_none());
        assert_eq!(told.load(Ordering::Relaxed), 4);
    }
}
