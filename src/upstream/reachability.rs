//! Cached result of the last attempt to connect to the app.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time for which a connect result is reused before the app is probed again.
const RESULT_LIFETIME: Duration = Duration::from_secs(5);
/// Age in milliseconds below which an unchanged result is not stored again: otherwise every request would dirty a
/// shared cache line.
const FRESH: u64 = 1_000;

/// Result and time of the last attempt.
#[derive(Debug)]
pub(super) struct Reachability {
    started_at: Instant,
    /// Time in milliseconds since `started_at`, plus one; 0 means never.
    tried: AtomicU64,
    answers: AtomicBool,
}

impl Default for Reachability {
    fn default() -> Self {
        Self {
            started_at: Instant::now(),
            tried: AtomicU64::new(0),
            answers: AtomicBool::new(false),
        }
    }
}

impl Reachability {
    /// Records the result of an attempt at this time.
    pub(super) fn note(&self, reached: bool, now: Instant) {
        let now = self.moment(now);
        let before = self.tried.load(Ordering::Relaxed);
        if self.answers.load(Ordering::Relaxed) != reached || now.saturating_sub(before) > FRESH {
            self.answers.store(reached, Ordering::Relaxed);
            self.tried.store(now, Ordering::Relaxed);
        }
    }

    /// Result of the last attempt, unless it is too old.
    pub(super) fn recent(&self) -> Option<bool> {
        let tried = self.tried.load(Ordering::Relaxed);
        let age = Duration::from_millis(self.moment(Instant::now()).saturating_sub(tried));
        (tried > 0 && age < RESULT_LIFETIME).then(|| self.answers.load(Ordering::Relaxed))
    }

    fn moment(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started_at).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_try_counts_for_a_while() {
        let reached = Reachability {
            started_at: Instant::now()
                .checked_sub(RESULT_LIFETIME * 4)
                .expect("a machine that is up for a while"),
            ..Reachability::default()
        };
        assert_eq!(reached.recent(), None);
        reached.note(true, reached.started_at + RESULT_LIFETIME);
        assert_eq!(reached.recent(), None, "too long ago");
        reached.note(true, Instant::now());
        assert_eq!(reached.recent(), Some(true));
        reached.note(false, Instant::now());
        assert_eq!(reached.recent(), Some(false));
    }
}
