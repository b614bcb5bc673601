//! Fair queue for workers: decides which waiting request is next. It has no clock and no task: the same calls always
//! give the same order.
//!
//! Known visitors of the app come first, but not for ever: after a few of them another visitor is served. Within each
//! of the two classes, addresses are served in turn, and the requests of one address in order. When the queue is full,
//! a newcomer replaces the latest request of the address with the most requests, if its own address has fewer. So a
//! client that fills the queue delays only itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Number of known visitors that are served in a row while others wait.
const CONSECUTIVE_KNOWN: u32 = 4;
/// Divisor of the number of places: the part of the queue that neither class can take from the other, a quarter.
const RESERVED_DIVISOR: usize = 4;

/// Key by which clients are counted; `None` for programs of this machine, which have one count together.
pub(super) type Address = Option<IpAddr>;

/// The two classes of visitors, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Visitors with a session that the app has recently confirmed.
    Known,
    /// All other visitors.
    Unknown,
}

/// The queue; each entry is a `T`.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    known: ClassQueue<T>,
    unknown: ClassQueue<T>,
    most: usize,
    /// Number of the latest entry; numbers only increase.
    latest: u64,
    known_in_a_row: u32,
}

/// Handle of an entry in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    class: Class,
    address: Address,
    number: u64,
}

/// Error for a full queue in which no address has more entries than the newcomer would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// The entries of one class.
#[derive(Debug)]
struct ClassQueue<T> {
    of: HashMap<Address, Waiting<T>>,
    /// Order of turns, with each waiting address once.
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
            known: ClassQueue::default(),
            unknown: ClassQueue::default(),
            most,
            latest: 0,
            known_in_a_row: 0,
        }
    }

    /// Sets the number of places. Existing entries stay, even if there are more.
    pub(super) fn set_capacity(&mut self, most: usize) {
        self.most = most;
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.known.all + self.unknown.all
    }

    /// Adds an entry; also returns the entry that it replaces, if any.
    pub(super) fn join(
        &mut self,
        class: Class,
        address: Address,
        entry: T,
    ) -> Result<(Ticket, Option<T>), QueueFull> {
        let gives_way = if self.len() < self.most {
            None
        } else {
            Some(self.make_room(class, address).ok_or(QueueFull)?)
        };
        self.latest += 1;
        let number = self.latest;
        self.class_queue(class).add(address, number, entry);
        let ticket = Ticket {
            class,
            address,
            number,
        };
        Ok((ticket, gives_way))
    }

    /// Removes an entry; has no effect if it was served already.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.class_queue(ticket.class)
            .take(ticket.address, ticket.number);
    }

    /// Removes and returns the next entry in turn that fits.
    pub(super) fn next(&mut self, fits: impl Fn(&T) -> bool) -> Option<T> {
        let others_turn = self.known_in_a_row >= CONSECUTIVE_KNOWN && self.unknown.all > 0;
        self.latest += 1;
        let turn = self.latest;
        if !others_turn && let Some(entry) = self.known.next(turn, &fits) {
            self.known_in_a_row += 1;
            return Some(entry);
        }
        self.known_in_a_row = 0;
        let next = self.unknown.next(turn, &fits);
        if next.is_none() && others_turn {
            return self.known.next(turn, &fits);
        }
        next
    }

    fn class_queue(&mut self, class: Class) -> &mut ClassQueue<T> {
        match class {
            Class::Known => &mut self.known,
            Class::Unknown => &mut self.unknown,
        }
    }

    /// Removes an entry of a full queue for a newcomer, if its address has more entries than the newcomer's.
    fn make_room(&mut self, class: Class, address: Address) -> Option<T> {
        let part = self.most / RESERVED_DIVISOR;
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

impl<T> ClassQueue<T> {
    fn size(&self, address: Address) -> usize {
        self.of
            .get(&address)
            .map_or(0, |waiting| waiting.by_number.len())
    }

    fn add(&mut self, address: Address, number: u64, entry: T) {
        let before = self.size(address);
        let waiting = self.of.entry(address).or_insert_with(|| {
            self.turns.insert(number, address);
            Waiting {
                turn: number,
                by_number: BTreeMap::new(),
            }
        });
        waiting.by_number.insert(number, entry);
        self.resized(address, before, before + 1);
    }

    /// Removes the first entry that fits, of the first address that has one; the next turn of that address is `turn`.
    fn next(&mut self, turn: u64, fits: &impl Fn(&T) -> bool) -> Option<T> {
        let first = |(old, address): (&u64, &Address)| {
            let mut waiting = self.of.get(address)?.by_number.iter();
            let (number, _) = waiting.find(|(_, entry)| fits(entry))?;
            Some((*old, *address, *number))
        };
        let (old, address, number) = self.turns.iter().find_map(first)?;
        self.turns.remove(&old);
        self.of.get_mut(&address)?.turn = turn;
        self.turns.insert(turn, address);
        self.take(address, number)
    }

    /// Removes the latest entry of the address with the most entries, if it has at least `least`.
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
        let entry = waiting.by_number.remove(&number)?;
        if waiting.by_number.is_empty() {
            self.turns.remove(&waiting.turn);
            self.of.remove(&address);
        }
        self.resized(address, before, before - 1);
        Some(entry)
    }

    fn resized(&mut self, address: Address, before: usize, now: usize) {
        self.by_size.remove(&(before, address));
        if now > 0 {
            self.by_size.insert((now, address));
        }
        self.all = self.all + now - before;
    }
}

impl<T> Default for ClassQueue<T> {
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
mod tests;
