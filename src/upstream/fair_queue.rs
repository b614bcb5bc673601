//! Fair queue for workers: decides which waiting request is next. It has no clock and no task: the same calls give
//! the same order.
//!
//! Known visitors of the app go first, but never for ever: after a few of them another visitor has a turn. Within
//! each of the two classes, addresses take turns, and the requests of one address are served in order. When the
//! queue is full, the address with the most requests gives way: its latest request makes room for a newcomer that
//! has fewer. So a client that fills the queue only delays itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Number of known visitors that are served in a row while others wait.
const IN_A_ROW: u32 = 4;
/// The part of the queue that neither class can take from the other: a quarter.
const OWN_PART: usize = 4;

/// Key by which clients are counted; `None` for programs of this machine, which share one count.
pub(super) type Address = Option<IpAddr>;

/// The two classes of visitors, by precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Visitors with a session that the app has confirmed a moment ago.
    Known,
    /// All other visitors.
    Unknown,
}

/// The queue; each entry is a `T`.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    known: Crowd<T>,
    unknown: Crowd<T>,
    most: usize,
    /// Number of the latest entry; numbers only grow.
    latest: u64,
    known_in_a_row: u32,
}

/// Handle of an entry in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    class: Class,
    address: Address,
    number: u64,
}

/// Error for a full queue in which no address has more entries than the newcomer would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The entries of one class.
#[derive(Debug)]
struct Crowd<T> {
    of: HashMap<Address, Waiting<T>>,
    /// Order of turns: each waiting address once.
    turns: BTreeMap<u64, Address>,
    /// Addresses by their number of entries.
    by_size: BTreeSet<(usize, Address)>,
    all: usize,
}

/// The entries of one address.
#[derive(Debug)]
struct Waiting<T> {
    turn: u64,
    by_number: BTreeMap<u64, T>,
}

impl<T> FairQueue<T> {
    /// Creates an empty queue with this many places.
    pub(super) fn new(most: usize) -> Self {
        Self {
            known: Crowd::default(),
            unknown: Crowd::default(),
            most,
            latest: 0,
            known_in_a_row: 0,
        }
    }

    /// Sets the number of places. Existing entries stay, also if there are more.
    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.known.all + self.unknown.all
    }

    /// Adds an entry; also returns the entry that has to give way for it.
    pub(super) fn join(
        &mut self,
        class: Class,
        address: Address,
        who: T,
    ) -> Result<(Place, Option<T>), Full> {
        let gives_way = if self.len() < self.most {
            None
        } else {
            Some(self.make_room(class, address).ok_or(Full)?)
        };
        self.latest += 1;
        let number = self.latest;
        self.crowd(class).add(address, number, who);
        let place = Place {
            class,
            address,
            number,
        };
        Ok((place, gives_way))
    }

    /// Removes an entry; has no effect if its turn has come already.
    pub(super) fn leave(&mut self, place: Place) {
        self.crowd(place.class).take(place.address, place.number);
    }

    /// Removes and returns the entry whose turn it is, of those that fit.
    pub(super) fn next(&mut self, fits: impl Fn(&T) -> bool) -> Option<T> {
        let others_turn = self.known_in_a_row >= IN_A_ROW && self.unknown.all > 0;
        self.latest += 1;
        let turn = self.latest;
        if !others_turn && let Some(who) = self.known.next(turn, &fits) {
            self.known_in_a_row += 1;
            return Some(who);
        }
        self.known_in_a_row = 0;
        let next = self.unknown.next(turn, &fits);
        if next.is_none() && others_turn {
            return self.known.next(turn, &fits);
        }
        next
    }

    fn crowd(&mut self, class: Class) -> &mut Crowd<T> {
        match class {
            Class::Known => &mut self.known,
            Class::Unknown => &mut self.unknown,
        }
    }

    /// Removes an entry of a full queue for a newcomer, if its address has more than the newcomer's.
    fn make_room(&mut self, class: Class, address: Address) -> Option<T> {
        let part = self.most / OWN_PART;
        let (own, other) = match class {
            Class::Known => (&mut self.known, &mut self.unknown),
            Class::Unknown => (&mut self.unknown, &mut self.known),
        };
        let other_has_too_many = match class {
            Class::Known => other.all > part,
            Class::Unknown => own.all < part,
        };
        if other_has_too_many {
            return other.drop_latest_of_largest(0);
        }
        // One fewer there and one more here must not only turn the two around.
        let enough = own.size(address) + 2;
        own.drop_latest_of_largest(enough)
    }
}

impl<T> Crowd<T> {
    fn size(&self, address: Address) -> usize {
        self.of
            .get(&address)
            .map_or(0, |waiting| waiting.by_number.len())
    }

    fn add(&mut self, address: Address, number: u64, who: T) {
        let before = self.size(address);
        let waiting = self.of.entry(address).or_insert_with(|| {
            self.turns.insert(number, address);
            Waiting {
                turn: number,
                by_number: BTreeMap::new(),
            }
        });
        waiting.by_number.insert(number, who);
        self.resized(address, before, before + 1);
    }

    /// Removes the first entry that fits of the first address that has one; the next turn of that address is `turn`.
    fn next(&mut self, turn: u64, fits: &impl Fn(&T) -> bool) -> Option<T> {
        let first = |(old, address): (&u64, &Address)| {
            let mut waiting = self.of.get(address)?.by_number.iter();
            let (number, _) = waiting.find(|(_, who)| fits(who))?;
            Some((*old, *address, *number))
        };
        let (old, address, number) = self.turns.iter().find_map(first)?;
        self.turns.remove(&old);
        self.of.get_mut(&address)?.turn = turn;
        self.turns.insert(turn, address);
        self.take(address, number)
    }

    /// Removes the latest entry of the address with the most, if it has at least `least`.
    fn drop_latest_of_largest(&mut self, least: usize) -> Option<T> {
        let (size, address) = *self.by_size.last()?;
        if size < least {
            return None;
        }
        let latest = *self.of.get(&address)?.by_number.last_key_value()?.0;
        self.take(address, latest)
    }

    fn take(&mut self, address: Address, number: u64) -> Option<T> {
        let before = self.size(address);
        let waiting = self.of.get_mut(&address)?;
        let who = waiting.by_number.remove(&number)?;
        if waiting.by_number.is_empty() {
            self.turns.remove(&waiting.turn);
            self.of.remove(&address);
        }
        self.resized(address, before, before - 1);
        Some(who)
    }

    fn resized(&mut self, address: Address, before: usize, now: usize) {
        self.by_size.remove(&(before, address));
        if now > 0 {
            self.by_size.insert((now, address));
        }
        self.all = self.all + now - before;
    }
}

impl<T> Default for Crowd<T> {
    fn default() -> Self {
        Self {
            of: HashMap::new(),
            turns: BTreeMap::new(),
            by_size: BTreeSet::new(),
            all: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Class::{Known, Unknown};
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// A queue that these entries have joined in this order, each with a name.
    fn line(most: usize, who: &[(Class, u8, &'static str)]) -> FairQueue<&'static str> {
        let mut line = FairQueue::new(most);
        for (class, last, name) in who {
            let joined = line.join(*class, Some(ip(*last)), *name);
            assert!(matches!(joined, Ok((_, None))), "{name}: {joined:?}");
        }
        line
    }

    fn order(line: &mut FairQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| line.next(|_| true)).collect()
    }

    #[test]
    fn strangers_are_served_in_the_order_they_came() {
        let mut line = line(
            9,
            &[(Unknown, 1, "a"), (Unknown, 2, "b"), (Unknown, 3, "c")],
        );
        assert_eq!(order(&mut line), ["a", "b", "c"]);
    }

    #[test]
    fn addresses_take_turns_however_many_requests_one_has() {
        let mut line = line(
            9,
            &[
                (Unknown, 1, "a1"),
                (Unknown, 1, "a2"),
                (Unknown, 1, "a3"),
                (Unknown, 2, "b1"),
                (Unknown, 3, "c1"),
                (Unknown, 2, "b2"),
            ],
        );
        assert_eq!(order(&mut line), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    }

    #[test]
    fn the_known_go_first_and_the_others_are_not_forgotten() {
        let mut line = line(
            20,
            &[
                (Unknown, 1, "u1"),
                (Unknown, 1, "u2"),
                (Known, 2, "k1"),
                (Known, 2, "k2"),
                (Known, 2, "k3"),
                (Known, 2, "k4"),
                (Known, 2, "k5"),
            ],
        );
        assert_eq!(order(&mut line), ["k1", "k2", "k3", "k4", "u1", "k5", "u2"]);
    }

    #[test]
    fn who_fills_the_line_gives_way_with_its_latest_request() {
        let mut line = line(
            4,
            &[
                (Unknown, 1, "a1"),
                (Unknown, 1, "a2"),
                (Unknown, 1, "a3"),
                (Unknown, 2, "b1"),
            ],
        );
        // One that has as many itself, less one, cannot drive another out.
        assert_eq!(line.join(Unknown, Some(ip(1)), "a4"), Err(Full));
        let (_, gave_way) = line.join(Unknown, Some(ip(2)), "b2").expect("room");
        assert_eq!(gave_way, Some("a3"));
        assert_eq!(line.join(Unknown, Some(ip(2)), "b3"), Err(Full));
        let (_, gave_way) = line.join(Unknown, Some(ip(3)), "c1").expect("room");
        assert!(matches!(gave_way, Some("a2" | "b2")));
        assert_eq!(line.len(), 4);
    }

    #[test]
    fn each_class_keeps_a_quarter_of_the_places() {
        let mut full = FairQueue::new(8);
        for number in 0..8 {
            full.join(Unknown, Some(ip(number)), "unknown")
                .expect("room");
        }
        for number in 0..6 {
            let joined = full.join(Known, Some(ip(number)), "known");
            assert!(matches!(joined, Ok((_, Some("unknown")))), "{number}");
        }
        assert_eq!(full.join(Known, Some(ip(9)), "known"), Err(Full));
        // The same the other way round.
        let mut full = FairQueue::new(8);
        for number in 0..8 {
            full.join(Known, Some(ip(number)), "known").expect("room");
        }
        for number in 0..2 {
            let joined = full.join(Unknown, Some(ip(number)), "unknown");
            assert!(matches!(joined, Ok((_, Some("known")))), "{number}");
        }
        assert_eq!(full.join(Unknown, Some(ip(9)), "unknown"), Err(Full));
    }

    #[test]
    fn who_leaves_is_not_served_and_who_was_served_cannot_leave() {
        let mut line = FairQueue::new(9);
        let (first, _) = line.join(Unknown, Some(ip(1)), "a").expect("room");
        let (second, _) = line.join(Unknown, Some(ip(1)), "b").expect("room");
        let (third, _) = line.join(Unknown, Some(ip(2)), "c").expect("room");
        line.leave(second);
        assert_eq!(line.next(|_| true), Some("a"));
        line.leave(first);
        line.leave(third);
        assert_eq!((line.next(|_| true), line.len()), (None, 0));
        assert!(line.unknown.of.is_empty() && line.unknown.turns.is_empty());
        assert!(line.unknown.by_size.is_empty());
    }

    #[test]
    fn a_line_without_places_takes_nobody() {
        let mut line = FairQueue::new(0);
        assert_eq!(line.join(Known, Some(ip(1)), ()), Err(Full));
        assert_eq!(line.join(Unknown, None, ()), Err(Full));
    }

    /// Compares the queue with a plain model: a list of all entries.
    #[test]
    fn whatever_happens_nobody_is_lost_served_twice_or_beyond_the_bound() {
        let mut seed = 7_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let mut line = FairQueue::new(12);
        let mut waiting: Vec<(u64, Place)> = Vec::new();
        for name in 0..20_000_u64 {
            match random(4) {
                0 => {
                    let served = line.next(|_| true);
                    assert_eq!(served.is_none(), waiting.is_empty());
                    waiting.retain(|(other, _)| Some(*other) != served);
                }
                1 if !waiting.is_empty() => {
                    let at = usize::try_from(random(waiting.len() as u64)).expect("small");
                    line.leave(waiting.swap_remove(at).1);
                }
                _ => {
                    let class = if random(2) == 0 { Known } else { Unknown };
                    let last = u8::try_from(random(5)).expect("small");
                    if let Ok((place, gave_way)) = line.join(class, Some(ip(last)), name) {
                        waiting.retain(|(other, _)| Some(*other) != gave_way);
                        waiting.push((name, place));
                    }
                }
            }
            assert_eq!(line.len(), waiting.len());
            assert!(line.len() <= 12);
        }
    }
}
