//! Rate limiter for new subscribers: a token bucket.

use std::time::Instant;

/// A token bucket with the capacity of one second, initially full.
#[derive(Debug)]
pub(super) struct Rate {
    a_second: f64,
    tokens: f64,
    at: Instant,
}

impl Rate {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            a_second: f64::from(rate),
            tokens: f64::from(rate),
            at: Instant::now(),
        }
    }

    pub(super) fn change(&mut self, rate: u32) {
        self.a_second = f64::from(rate);
        self.tokens = self.tokens.min(self.a_second);
    }

    /// Takes a token; true if there was one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * self.a_second).min(self.a_second);
        let free = self.tokens >= 1.0;
        if free {
            self.tokens -= 1.0;
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_may_come_at_once_and_then_so_many_a_second() {
        let mut rate = Rate::new(10);
        let start = Instant::now();
        rate.at = start;
        assert_eq!((0..100).filter(|_| rate.take(start)).count(), 10);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| rate.take(later)).count(), 5);
        let much_later = start + Duration::from_secs(60);
        assert_eq!((0..100).filter(|_| rate.take(much_later)).count(), 10);
    }
}
