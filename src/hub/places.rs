//! The one sequence of offsets that all channels share, and the places in it that wait for the disk.
//!
//! A message in memory gets the next place and is shown at once. Messages of a history on disk must have their places
//! before they are written, and are shown after that: they get places a little ahead, and what is shown meanwhile takes
//! those before them, so that nothing waits for a disk that is not its own, and no cursor can pass by a message that
//! comes later. Are there too few places before them, the messages are numbered and written once more.

/// The most places that are left free at a time.
const MOST_ROOM: u64 = 1 << 20;
/// Places that are left free at least once they did not suffice.
const LEAST_ROOM: u64 = 64;

/// The sequence.
#[derive(Debug, Default)]
pub(super) struct Places {
    last: u64,
    /// The first of the places that wait for the disk.
    reserved: Option<u64>,
    /// How many were given since they wait.
    passed: u64,
    /// How many are left free before them: none where nothing else is said, so that ids follow each other.
    room: u64,
}

impl Places {
    /// A sequence that goes on behind this place.
    pub(super) fn new(last: u64) -> Self {
        Self {
            last,
            ..Self::default()
        }
    }

    /// The last place whose message is shown.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The place of a message that is shown at once.
    pub(super) fn take(&mut self) -> u64 {
        self.last += 1;
        self.passed += 1;
        if self.reserved.is_some_and(|first| first <= self.last) {
            self.reserved = None;
        }
        self.last
    }

    /// Goes to a place that something else has given.
    pub(super) fn set(&mut self, last: u64) {
        self.last = last;
    }

    /// The first of the places for messages that are about to be written, above `beyond`.
    pub(super) fn reserve(&mut self, beyond: u64) -> u64 {
        let first = (self.last + 1 + self.room).max(beyond + 1);
        self.reserved = Some(first);
        self.passed = 0;
        first
    }

    /// The messages with the reserved places are written; the last has this one. False if the places were given to
    /// others meanwhile.
    pub(super) fn fill(&mut self, last: u64) -> bool {
        let free = self.release();
        if free {
            self.last = last;
        } else {
            self.room = self.room.max(LEAST_ROOM);
        }
        free
    }

    /// The reserved places are free again; false if they were given to others.
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
        let mut places = Places::new(10);
        assert_eq!(places.reserve(0), 11);
        assert_eq!(places.take(), 11, "it does not wait");
        assert!(!places.fill(13), "the place is another's");
        let first = places.reserve(13);
        assert_eq!(first, 11 + 1 + LEAST_ROOM);
        assert_eq!((places.take(), places.take()), (12, 13));
        assert!(places.fill(first + 2));
        assert_eq!(places.take(), first + 3);
    }

    #[test]
    fn alone_messages_on_disk_follow_each_other_and_a_refused_one_leaves_no_gap() {
        let mut places = Places::new(0);
        assert_eq!(places.reserve(0), 1);
        assert!(places.fill(1));
        assert_eq!(places.reserve(0), 2);
        assert!(places.release());
        assert_eq!(places.reserve(0), 2);
        assert!(places.fill(4));
        assert_eq!((places.last(), places.take()), (4, 5));
    }
}
