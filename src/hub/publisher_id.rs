//! A publisher's own id of a message, which makes a retry harmless: within a window the channel remembers the ids
//! it has seen, and a message with a known id is not published again; its publisher gets the id of the first.
//!
//! Bounded by number and by age. Only half of an id's SHA-256 is kept, not its text. Independent of transports and
//! the disk.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};

/// Time for which an id of GRIP is unique.
const MINUTE: Duration = Duration::from_secs(60);

/// Length limit of an id; a UUID has 36 bytes.
const LONGEST: usize = 256;

/// The first half of the SHA-256 of an id.
pub(super) type Digest = [u8; 16];

/// The time for which a publisher uses an id for one message only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unique {
    /// Not unique: the publisher may use an id twice, so ids are remembered but not searched for.
    Never,
    /// Unique for a minute, as in GRIP: a counter of an app may begin anew.
    Minute,
    /// Unique for ever.
    Always,
}

/// A publisher's own id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublisherId {
    digest: Digest,
    unique: Unique,
}

impl PublisherId {
    /// Parses an id from a publisher.
    ///
    /// # Errors
    /// The message says which rule the id breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > LONGEST || text.contains(char::is_control) {
            return Err("the id of a message has 1 to 256 bytes and no control characters");
        }
        Ok(Self::of(&["", text]))
    }

    /// An id within a scope, so that publishers that do not know each other cannot use up each other's ids.
    #[must_use]
    pub(crate) fn scoped(scope: &[u8], text: &str) -> Self {
        let scope = digest(&SHA256, scope);
        Self::of_bytes(&[scope.as_ref(), text.as_bytes()])
    }

    /// An id of a source, which only counts if the source says that a message may be a repetition.
    pub(crate) fn of_source(address: &str, text: &str, unique: bool) -> Self {
        Self {
            unique: if unique {
                Unique::Always
            } else {
                Unique::Never
            },
            ..Self::of(&[address, text])
        }
    }

    /// An id of a message of GRIP.
    #[must_use]
    pub(crate) fn of_grip(text: &str) -> Self {
        Self {
            unique: Unique::Minute,
            ..Self::scoped(b"grip", text)
        }
    }

    fn of(parts: &[&str]) -> Self {
        let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
        Self::of_bytes(&parts)
    }

    fn of_bytes(parts: &[&[u8]]) -> Self {
        let whole = digest(&SHA256, &parts.join(&0));
        let mut own = Digest::default();
        for (to, from) in own.iter_mut().zip(whole.as_ref()) {
            *to = *from;
        }
        Self {
            digest: own,
            unique: Unique::Always,
        }
    }

    /// Restores an id that was stored by its [`digest`](Self::digest).
    #[must_use]
    pub(crate) fn stored(digest: Digest, unique: Unique) -> Self {
        Self { digest, unique }
    }

    /// The digest of the id.
    #[must_use]
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// The time for which the id belongs to one message only.
    #[must_use]
    pub(crate) fn unique(&self) -> Unique {
        self.unique
    }
}

/// A remembered id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    pub(super) digest: Digest,
    pub(super) offset: u64,
    pub(super) came: Instant,
}

/// The ids of the newest messages of a channel that had one.
#[derive(Debug, Default)]
pub(super) struct PublisherIds {
    order: VecDeque<Remembered>,
    offsets: HashMap<Digest, (u64, Instant)>,
}

impl PublisherIds {
    /// Offset of the message that had this id.
    pub(super) fn find(&self, id: &PublisherId) -> Option<u64> {
        let (offset, came) = *self.offsets.get(&id.digest)?;
        let counts = match id.unique {
            Unique::Never => false,
            Unique::Minute => came.elapsed() < MINUTE,
            Unique::Always => true,
        };
        counts.then_some(offset)
    }

    /// Remembers an id. Offsets must be increasing.
    pub(super) fn insert(&mut self, digest: Digest, offset: u64, came: Instant) {
        self.offsets.insert(digest, (offset, came));
        self.order.push_back(Remembered {
            digest,
            offset,
            came,
        });
    }

    /// Forgets ids beyond the bounds; returns the highest offset that was forgotten, if any.
    pub(super) fn trim(&mut self, now: Instant, most: usize, age: Duration) -> Option<u64> {
        let mut through = None;
        while let Some(oldest) = self.order.front() {
            let old = now.saturating_duration_since(oldest.came) > age;
            if self.order.len() <= most && !old {
                break;
            }
            let newest = self.offsets.get(&oldest.digest);
            if newest.is_some_and(|(offset, _)| *offset == oldest.offset) {
                self.offsets.remove(&oldest.digest);
            }
            through = Some(oldest.offset);
            self.order.pop_front();
        }
        through
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// All remembered ids, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Remembered> {
        self.order.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PublisherId {
        PublisherId::parse(text).expect("an id")
    }

    #[test]
    fn the_newest_are_remembered_by_number_and_by_age() {
        let (mut ids, begin) = (PublisherIds::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let age = Duration::from_secs(60);
        for offset in 1..=5 {
            ids.insert(id(&offset.to_string()).digest, offset, at(offset));
        }
        assert_eq!(ids.trim(at(5), 3, age), Some(2));
        assert_eq!((ids.find(&id("2")), ids.find(&id("3"))), (None, Some(3)));
        assert_eq!(ids.trim(at(64), 3, age), Some(3));
        assert_eq!(ids.trim(at(64), 3, age), None);
        ids.insert(id("5").digest, 6, at(64));
        assert_eq!(ids.find(&id("5")), Some(6));
        assert_eq!(ids.trim(at(70), 1, age), Some(5));
        assert_eq!(ids.find(&id("5")), Some(6), "it came again");
    }

    #[test]
    fn an_id_of_grip_is_a_repetition_for_a_minute() {
        let (mut ids, own) = (PublisherIds::default(), PublisherId::of_grip("1"));
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
        ids.insert(own.digest, 1, ago(70).expect("the machine runs longer"));
        assert_eq!(ids.find(&own), None);
        ids.insert(own.digest, 2, ago(5).expect("the machine runs longer"));
        assert_eq!(ids.find(&own), Some(2));
    }

    #[test]
    fn nobody_takes_the_id_of_another() {
        assert_ne!(id("a"), PublisherId::scoped(b"ann", "a"));
        assert_ne!(
            PublisherId::scoped(b"ann", "a"),
            PublisherId::scoped(b"bob", "a")
        );
        for text in ["", "a\nb", &"x".repeat(257)] {
            assert!(PublisherId::parse(text).is_err());
        }
    }
}
