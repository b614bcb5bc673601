//! The one sequence of offsets that all channels share, with the offsets reserved for messages on their way to
//! disk.
//!
//! A message in memory gets the next offset and is visible at once. Messages of a history on disk need their
//! offsets before they are written and become visible after that, so they get offsets a little ahead; messages
//! that become visible meanwhile use those in between. Thus no message waits for a disk that is not its own, and
//! no cursor can skip a message that becomes visible later. If there are too few in between, the messages are
//! numbered and written again.

/// Limit on offsets left free in front of a reservation.
const MOST_ROOM: u64 = 1 << 20;
/// Minimum of offsets left free once they have been too few.
const LEAST_ROOM: u64 = 64;

/// The sequence of offsets.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    last: u64,
    /// The first offset reserved for messages on their way to disk.
    reserved: Option<u64>,
    /// Number of offsets assigned since the reservation.
    passed: u64,
    /// Number of offsets left free in front of a reservation: 0 until they are needed, so that ids are
    /// consecutive.
    room: u64,
}

impl Sequence {
    /// Creates a sequence that continues behind this offset.
    pub(super) fn new(last: u64) -> Self {
        Self {
            last,
            ..Self::default()
        }
    }

    /// Highest offset whose message is visible.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Assigns the offset of a message that becomes visible at once.
    pub(super) fn take(&mut self) -> u64 {
        self.last += 1;
        self.passed += 1;
        if self.reserved.is_some_and(|first| first <= self.last) {
            self.reserved = None;
        }
        self.last
    }

    /// Moves to an offset that was assigned elsewhere.
    pub(super) fn set(&mut self, last: u64) {
        self.last = last;
    }

    /// Reserves offsets above `beyond` for messages that are about to be written; returns the first.
    pub(super) fn reserve(&mut self, beyond: u64) -> u64 {
        let first = (self.last + 1 + self.room).max(beyond + 1);
        self.reserved = Some(first);
        self.passed = 0;
        first
    }

    /// Completes a reservation whose last message has this offset. False if other messages have used the offsets
    /// meanwhile.
    pub(super) fn fill(&mut self, last: u64) -> bool {
        let free = self.release();
        if free {
            self.last = last;
        } else {
            self.room = self.room.max(LEAST_ROOM);
        }
        free
    }

    /// Releases a reservation; false if other messages have used its offsets.
    pub(super) fn release(&mut self) -> bool {
        self.room = self.passed.saturating_mul(2).min(MOST_ROOM);
        self.reserved.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_behind_what_is_shown_meanwhile() {
        let mut sequence = Sequence::new(10);
        assert_eq!(sequence.reserve(0), 11);
        assert_eq!(sequence.take(), 11, "it does not wait");
        assert!(!sequence.fill(13), "the place is another's");
        let first = sequence.reserve(13);
        assert_eq!(first, 11 + 1 + LEAST_ROOM);
        assert_eq!((sequence.take(), sequence.take()), (12, 13));
        assert!(sequence.fill(first + 2));
        assert_eq!(sequence.take(), first + 3);
    }

    #[test]
    fn alone_messages_on_disk_follow_each_other_and_a_refused_one_leaves_no_gap() {
        let mut sequence = Sequence::new(0);
        assert_eq!(sequence.reserve(0), 1);
        assert!(sequence.fill(1));
        assert_eq!(sequence.reserve(0), 2);
        assert!(sequence.release());
        assert_eq!(sequence.reserve(0), 2);
        assert!(sequence.fill(4));
        assert_eq!((sequence.last(), sequence.take()), (4, 5));
    }
}
