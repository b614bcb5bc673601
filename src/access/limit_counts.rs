//! Counts of events per client, against which the limits are checked: for each address, the time up to which it has
//! used its rate, and the provisional places that it holds.
//!
//! Memory is bounded: beyond a number of addresses, further ones have one count together. Must not know requests.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::access::proven::Mark;
use crate::sync::lock;

/// Limit on addresses with a count of their own. Further addresses have one count together: memory is bounded, and an
/// attacker with that many addresses gains nothing from even more.
pub(super) const MOST: usize = 100_000;
/// Number of shards of the table, so that requests rarely wait for each other.
pub(super) const PARTS: usize = 16;
/// Longest time for which a client is refused, no matter by how much it has exceeded a limit.
pub(super) const LONGEST: Duration = Duration::from_secs(600);

/// The time after which a client may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany(pub Duration);

/// A permitted rate of events, with a burst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// Time between two events at the permitted rate.
    pub(super) each: Duration,
    /// Time by which a client may be ahead of its rate.
    pub(super) burst: Duration,
}

/// Counts of all addresses: the time up to which each has used its rate (the "generic cell rate algorithm").
#[derive(Debug)]
pub(super) struct Counts {
    hasher: RandomState,
    pub(super) since: Instant,
    parts: [Mutex<HashMap<IpAddr, Duration>>; PARTS],
    /// The common count of addresses without one of their own.
    others: Mutex<Duration>,
    /// Provisional places that each address holds, at most as many as its requests in progress.
    pub(super) held: Mutex<HashMap<IpAddr, HeldPlaces>>,
    /// Notified when a place is released.
    pub(super) freed: Notify,
    most: usize,
}

/// Provisional places of one address.
#[derive(Debug, Default)]
pub(super) struct HeldPlaces {
    own: u32,
    /// Number of requests that share each place.
    shared: HashMap<Mark, u32>,
    /// Ends of the brief places, the earliest first; some of them have passed.
    brief: VecDeque<Duration>,
}

/// The kinds of places.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A place of one request.
    Own,
    /// A place of all requests with the same mark.
    Shared(Mark),
    /// A place that is held until this time at most.
    Brief(Duration),
}

impl Rate {
    /// Creates a limit of `number` events in `time`, with a burst of `burst` times as many; 0 means no limit.
    pub(super) fn new(number: u32, time: Duration, burst: u32) -> Option<Self> {
        (number > 0).then(|| Self {
            each: time / number,
            burst: time * burst,
        })
    }

    pub(super) fn has_room(self, used: Duration, now: Duration) -> Result<(), TooMany> {
        let until = used + self.each;
        match until.checked_sub(now + self.burst) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(TooMany(wait)),
        }
    }
}

impl HeldPlaces {
    /// Number of places held beside one of this kind. A shared place that is held already does not count.
    pub(super) fn others(&mut self, kind: Kind, now: Duration) -> u32 {
        while self.brief.front().is_some_and(|end| *end <= now) {
            self.brief.pop_front();
        }
        let is_there = matches!(kind, Kind::Shared(mark) if self.shared.contains_key(&mark));
        let several = self.shared.len() + self.brief.len() - usize::from(is_there);
        let several = u32::try_from(several).unwrap_or(u32::MAX);
        self.own.saturating_add(several)
    }

    pub(super) fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Own => self.own += 1,
            Kind::Shared(mark) => *self.shared.entry(mark).or_default() += 1,
            Kind::Brief(end) => self.brief.push_back(end),
        }
    }

    pub(super) fn give_back(&mut self, kind: Kind) {
        match kind {
            Kind::Own => self.own = self.own.saturating_sub(1),
            Kind::Shared(mark) => match self.shared.get_mut(&mark) {
                Some(requests) if *requests > 1 => *requests -= 1,
                _ => {
                    self.shared.remove(&mark);
                }
            },
            Kind::Brief(end) => {
                if let Ok(at) = self.brief.binary_search(&end) {
                    self.brief.remove(at);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own == 0 && self.shared.is_empty() && self.brief.is_empty()
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Counts {
    pub(super) fn new(most: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            since: Instant::now(),
            parts: Default::default(),
            others: Mutex::default(),
            held: Mutex::default(),
            freed: Notify::new(),
            most: most / PARTS,
        }
    }

    pub(super) fn change<T>(
        &self,
        address: IpAddr,
        change: impl FnOnce(&mut Duration, Duration) -> T,
    ) -> T {
        let now = self.since.elapsed();
        let mut part = self.part(address);
        if let Some(used) = part.get_mut(&address) {
            return change(used, now);
        }
        if part.len() >= self.most {
            // Addresses whose share is not used any more need not be remembered.
            part.retain(|_, used| *used > now);
        }
        if part.len() >= self.most {
            return change(&mut lock(&self.others), now);
        }
        change(part.entry(address).or_default(), now)
    }

    pub(super) fn count(&self, address: IpAddr, rate: Rate) {
        self.change(address, |used, now| {
            let most = now + rate.burst + LONGEST;
            *used = ((*used).max(now) + rate.each).min(most);
        });
    }

    pub(super) fn inspect<T>(
        &self,
        address: IpAddr,
        look: impl FnOnce(Duration, Duration) -> T,
    ) -> T {
        let now = self.since.elapsed();
        let part = self.part(address);
        let used = match part.get(&address) {
            Some(used) => *used,
            None if part.len() >= self.most => *lock(&self.others),
            None => Duration::ZERO,
        };
        look(used, now)
    }

    pub(super) fn part(&self, address: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, Duration>> {
        let hash = self.hasher.hash_one(address);
        let [first, ..] = &self.parts;
        let at = usize::try_from(hash % PARTS as u64).unwrap_or_default();
        lock(self.parts.get(at).unwrap_or(first))
    }

    /// Number of addresses with a count of their own.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }
}

#[cfg(test)]
mod tests;
