//! Timings of one request: recorded on its way, written in its access line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Timings and body size of a request. Nothing is recorded unless an app handles it.
#[derive(Debug, Default)]
pub struct Timings {
    /// Microseconds + 1; 0 means "not recorded".
    queued: AtomicU64,
    answered: AtomicU64,
    received: AtomicU64,
}

impl Timings {
    /// Records the time in the queue, when a worker was granted.
    pub fn queued(&self, wait: Duration) {
        self.queued.store(microseconds(wait) + 1, Ordering::Relaxed);
    }

    /// Records the time from there to the head of the response.
    pub fn record_response(&self, after: Duration) {
        self.answered
            .store(microseconds(after) + 1, Ordering::Relaxed);
    }

    /// Records the size of the request body.
    pub fn received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    /// Milliseconds in the queue, and from there to the head of the response.
    pub(super) fn milliseconds(&self) -> (Option<f64>, Option<f64>) {
        let read = |noted: &AtomicU64| {
            let noted = noted.load(Ordering::Relaxed).checked_sub(1)?;
            let seconds = Duration::from_micros(noted).as_secs_f64();
            Some((seconds * 1e6).round() / 1e3)
        };
        (read(&self.queued), read(&self.answered))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX - 1)
}
