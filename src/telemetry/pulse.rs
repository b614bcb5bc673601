//! A sign of life of the runtime: the task that works once a second leaves the time here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Older than this, and the runtime does not turn any more. The beat comes each second; a machine that is
/// short of everything may miss some.
const STOPPED: Duration = Duration::from_secs(15);

/// When something last happened that happens all the time.
#[derive(Debug)]
pub struct Pulse {
    begun: Instant,
    /// Milliseconds since `begun`.
    last: AtomicU64,
}

impl Pulse {
    /// A pulse that beats now for the first time.
    #[must_use]
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// It happened now.
    pub fn beat(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// How long ago it was.
    #[must_use]
    pub fn age(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(last)
    }

    /// False once it has not beaten for much longer than it ever should.
    #[must_use]
    pub fn is_beating(&self) -> bool {
        self.age() < STOPPED
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_as_old_as_its_last_beat() {
        let pulse = Pulse {
            begun: Instant::now()
                .checked_sub(STOPPED * 2)
                .expect("a machine that is up for a while"),
            last: AtomicU64::new(0),
        };
        assert!(!pulse.is_beating());
        pulse.beat();
        assert!(pulse.is_beating() && pulse.age() < STOPPED);
    }
}
