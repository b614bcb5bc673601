//! Heartbeat of the runtime: the task that runs once a second records the time here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Age above which the runtime counts as stopped. The heartbeat comes each second; a machine that is short of
/// everything may miss some.
const STOPPED: Duration = Duration::from_secs(15);

/// The heartbeat, with the time of its last beat.
#[derive(Debug)]
pub struct Heartbeat {
    started_at: Instant,
    /// Time of the last beat, in milliseconds since `started_at`.
    last: AtomicU64,
}

impl Heartbeat {
    /// Creates a heartbeat whose first beat is now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started_at: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// Records a beat.
    pub fn beat(&self) {
        let now = u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Time since the last beat.
    #[must_use]
    pub fn age(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.started_at.elapsed().saturating_sub(last)
    }

    /// False once the last beat is much older than it should ever be.
    #[must_use]
    pub fn is_beating(&self) -> bool {
        self.age() < STOPPED
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_as_old_as_its_last_beat() {
        let heartbeat = Heartbeat {
            started_at: Instant::now()
                .checked_sub(STOPPED * 2)
                .expect("a machine that is up for a while"),
            last: AtomicU64::new(0),
        };
        assert!(!heartbeat.is_beating());
        heartbeat.beat();
        assert!(heartbeat.is_beating() && heartbeat.age() < STOPPED);
    }
}
