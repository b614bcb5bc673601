//! Where the time of one request went, and how much came with it; noted on its way, told in its line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is noted of a request. Nothing is, unless an app was asked.
#[derive(Debug, Default)]
pub struct Times {
    /// In microseconds, and one more, so that nought is nothing.
    queued: AtomicU64,
    answered: AtomicU64,
    received: AtomicU64,
}

impl Times {
    /// It has got a worker after so long in the queue.
    pub fn queued(&self, wait: Duration) {
        self.queued.store(microseconds(wait) + 1, Ordering::Relaxed);
    }

    /// The head of the answer has come, so long after it got the worker.
    pub fn answered(&self, after: Duration) {
        self.answered
            .store(microseconds(after) + 1, Ordering::Relaxed);
    }

    /// Its body has so many bytes.
    pub fn received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    /// Milliseconds in the queue, and from there to the head of the answer.
    pub(super) fn milliseconds(&self) -> (Option<f64>, Option<f64>) {
        let told = |noted: &AtomicU64| {
            let noted = noted.load(Ordering::Relaxed).checked_sub(1)?;
            let seconds = Duration::from_micros(noted).as_secs_f64();
            Some((seconds * 1e6).round() / 1e3)
        };
        (told(&self.queued), told(&self.answered))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX - 1)
}
