//! Exponential backoff with jitter for reconnects.

use std::time::Duration;

/// Upper bound of the first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Upper bound of any pause.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The backoff: each pause is random between zero and a bound that doubles, so that clients that started at the same
/// time spread out.
#[derive(Debug)]
pub(crate) struct Backoff {
    most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { most: FIRST_PAUSE }
    }
}

impl Backoff {
    /// Returns the length of the next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.most.mul_f64(random());
        self.most = (self.most * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// Returns a random number between 0 and 1, to spread clients in time.
pub(crate) fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let [low, high, ..] = RandomState::new().hash_one(0_u8).to_le_bytes();
    f64::from(u16::from_le_bytes([low, high])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_most_and_differ() {
        let mut backoff = Backoff::default();
        let mut most = Vec::new();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            most.push(backoff.most.as_millis());
            let pause = backoff.pause();
            assert!(pause.as_millis() <= *most.last().expect("pushed"));
            pauses.push(pause);
        }
        assert_eq!(most, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        pauses.dedup();
        assert!(pauses.len() > 1);
    }
}
