//! Rate limiter for log lines that a client can trigger at will: 10 a second of each kind; the next line carries
//! the number suppressed.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Lines of one kind in one second.
const MOST: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// The limiter of one kind of line.
#[derive(Debug)]
pub struct LogLimiter(Mutex<State>);

#[derive(Debug)]
struct State {
    started_at: Instant,
    told: u32,
    untold: u64,
}

impl LogLimiter {
    /// Creates a limiter that has passed no line yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(State {
            started_at: Instant::now(),
            told: 0,
            untold: 0,
        }))
    }

    /// Returns the number of lines suppressed since the last one if this line is to be written, and `None` if not.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        self.line_at(Instant::now())
    }

    fn line_at(&self, now: Instant) -> Option<u64> {
        let mut state = lock(&self.0);
        if now.saturating_duration_since(state.started_at) >= SECOND {
            state.started_at = now;
            state.told = 0;
        }
        if state.told < MOST {
            state.told += 1;
            return Some(std::mem::take(&mut state.untold));
        }
        state.untold += 1;
        None
    }
}

impl Default for LogLimiter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_so_many_a_second_lines_are_counted_and_told_with_the_next() {
        let flood = LogLimiter::new();
        let started_at = Instant::now();
        for _ in 0..MOST {
            assert_eq!(flood.line_at(started_at), Some(0));
        }
        for _ in 0..1234 {
            assert_eq!(flood.line_at(started_at), None);
        }
        assert_eq!(flood.line_at(started_at + SECOND * 2), Some(1234));
        assert_eq!(flood.line_at(started_at + SECOND * 2), Some(0));
    }
}
