//! Channels whose rows wait in the outbox, because no further channel can be opened now.
//!
//! Their rows are passed by, so that those of other channels are not held up, and each channel keeps its order. They
//! are read again after a pause, which grows. Must not know the database.

use tokio::time::Instant;

use crate::net::Backoff;

/// Limit on the channels that are passed by at the same time; beyond it, the whole table waits.
const MOST: usize = 1_000;

/// The channels whose rows are passed by.
#[derive(Default)]
pub(super) struct Postponed {
    channels: Vec<String>,
    backoff: Backoff,
    /// Time of the next attempt; `None` while there is nothing to attempt.
    until: Option<Instant>,
}

impl Postponed {
    /// The names of the channels.
    pub(super) fn channels(&self) -> &[String] {
        &self.channels
    }

    /// True if rows of this channel are passed by.
    pub(super) fn contains(&self, channel: &str) -> bool {
        self.channels.iter().any(|one| one == channel)
    }

    /// Passes the rows of a channel by; false if there are too many such channels. The pause begins with the first.
    pub(super) fn add(&mut self, channel: &str) -> bool {
        if self.channels.len() >= MOST {
            return false;
        }
        self.channels.push(channel.to_owned());
        if self.until.is_none() {
            self.until = Some(Instant::now() + self.backoff.pause());
        }
        true
    }

    /// Time of the next attempt, if there is one.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Begins the next attempt, if it is time: all rows are read again.
    pub(super) fn attempt(&mut self) {
        if self.until.is_some_and(|until| until <= Instant::now()) {
            self.channels.clear();
            self.until = None;
        }
    }

    /// Forgets the pauses once all rows could be published.
    pub(super) fn is_over(&mut self) {
        if self.channels.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::LONGEST_PAUSE;

    #[tokio::test(start_paused = true)]
    async fn channels_are_passed_by_until_the_pause_is_over_and_no_more_than_the_limit() {
        let mut postponed = Postponed::default();
        assert!(postponed.until().is_none());
        assert!(postponed.add("a") && postponed.contains("a") && !postponed.contains("b"));
        let until = postponed.until().expect("a time");
        tokio::time::sleep_until(until).await;
        postponed.attempt();
        assert!(postponed.channels().is_empty() && postponed.until().is_none());
        for number in 0..MOST {
            assert!(postponed.add(&number.to_string()));
        }
        assert!(!postponed.add("b"));
        tokio::time::sleep(LONGEST_PAUSE).await;
        postponed.attempt();
        assert!(!postponed.contains("0"));
    }
}
