//! How long to wait before something that was lost is tried again. Knows nothing of what that is.

use std::time::Duration;

/// The most the first pause between two tries lasts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The most any pause lasts.
pub(in crate::hub) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Ever longer pauses, each between nothing and its most, so that what starts together does not stay together.
#[derive(Debug)]
pub(in crate::hub) struct Backoff {
    most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { most: FIRST_PAUSE }
    }
}

impl Backoff {
    /// How long to wait now.
    pub(in crate::hub) fn pause(&mut self) -> Duration {
        let pause = self.most.mul_f64(crate::hub::random());
        self.most = (self.most * 2).min(LONGEST_PAUSE);
        pause
    }
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
