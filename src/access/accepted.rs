//! Recently accepted credentials by address: a browser sends its own with everything it loads, while a guesser
//! sends others. Independent of the kind of credential, and of what it opens.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::net::Peer;

/// Limit on remembered addresses. For further ones nothing counts as accepted.
const MOST: usize = 10_000;
/// Limit on remembered credentials of one address.
const EACH: usize = 64;
/// Time for which an acceptance counts.
const AGE: Duration = Duration::from_secs(3600);

/// The accepted credentials. Clones share them.
#[derive(Clone, Debug)]
pub struct Accepted {
    memory: Arc<Memory>,
    /// Limit for one address: accepted credentials on an open page are no better than guesses, so there are never
    /// more of them than permitted failures.
    each: usize,
}

/// A credential as it is remembered: hashed with a key that changes with every start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

#[derive(Debug)]
struct Memory {
    hasher: RandomState,
    since: Instant,
    /// By address, the last accepted credentials with their times, oldest first.
    addresses: Mutex<HashMap<IpAddr, VecDeque<(Mark, Duration)>>>,
}

impl Accepted {
    /// Creates the memory for a limit of this many failures, with the content of `before`.
    #[must_use]
    pub fn new(failures: u32, before: Option<&Self>) -> Self {
        Self {
            memory: before.map_or_else(Arc::default, |before| Arc::clone(&before.memory)),
            each: usize::try_from(failures).unwrap_or(EACH).min(EACH),
        }
    }

    /// The hash of a credential.
    #[must_use]
    pub fn mark(&self, credential: impl Hash) -> Mark {
        Mark(self.memory.hasher.hash_one(credential))
    }

    /// True if this credential was accepted from this address within the last hour.
    #[must_use]
    pub fn has(&self, peer: Peer, mark: Mark) -> bool {
        let now = self.memory.since.elapsed();
        peer.counted_as()
            .is_some_and(|address| self.memory.has(address, mark, now))
    }

    /// Remembers an accepted credential.
    pub fn keep(&self, peer: Peer, mark: Mark) {
        let now = self.memory.since.elapsed();
        if let Some(address) = peer.counted_as() {
            self.memory.keep(address, mark, now, self.each);
        }
    }

    /// Forgets a credential that is not accepted any more.
    pub fn forget(&self, peer: Peer, mark: Mark) {
        if let Some(address) = peer.counted_as() {
            self.memory.forget(address, mark);
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            since: Instant::now(),
            addresses: Mutex::default(),
        }
    }
}

impl Memory {
    fn has(&self, address: IpAddr, mark: Mark, now: Duration) -> bool {
        let addresses = self.lock();
        let mut kept = addresses.get(&address).into_iter().flatten();
        kept.any(|(kept, at)| *kept == mark && now.saturating_sub(*at) < AGE)
    }

    fn keep(&self, address: IpAddr, mark: Mark, now: Duration, each: usize) {
        if each == 0 {
            return;
        }
        let mut addresses = self.lock();
        if addresses.len() >= MOST && !addresses.contains_key(&address) {
            addresses.retain(|_, kept| {
                let last = kept.back();
                last.is_some_and(|(_, at)| now.saturating_sub(*at) < AGE)
            });
            if addresses.len() >= MOST {
                return;
            }
        }
        let kept = addresses.entry(address).or_default();
        kept.retain(|(kept, _)| *kept != mark);
        kept.push_back((mark, now));
        while kept.len() > each {
            kept.pop_front();
        }
    }

    fn forget(&self, address: IpAddr, mark: Mark) {
        let mut addresses = self.lock();
        if let Some(kept) = addresses.get_mut(&address) {
            kept.retain(|(kept, _)| *kept != mark);
            if kept.is_empty() {
                addresses.remove(&address);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, VecDeque<(Mark, Duration)>>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn address(last: u32) -> IpAddr {
        IpAddr::from(last.to_be_bytes())
    }

    #[test]
    fn what_was_accepted_is_known_for_its_address_and_its_time_until_it_fails() {
        let memory = Memory::default();
        memory.keep(address(1), Mark(7), START, 2);
        assert!(memory.has(address(1), Mark(7), AGE / 2));
        assert!(!memory.has(address(2), Mark(7), START));
        assert!(!memory.has(address(1), Mark(8), START));
        assert!(!memory.has(address(1), Mark(7), AGE));
        memory.keep(address(1), Mark(7), AGE, 2);
        assert!(memory.has(address(1), Mark(7), AGE));
        memory.forget(address(1), Mark(7));
        assert!(!memory.has(address(1), Mark(7), AGE));
        assert!(memory.lock().is_empty());
    }

    #[test]
    fn an_address_has_the_last_few_only_and_no_more_addresses_than_there_is_room_for() {
        let memory = Memory::default();
        for mark in 0..5 {
            memory.keep(address(1), Mark(mark), START, 2);
        }
        let known = (0..5).filter(|mark| memory.has(address(1), Mark(*mark), START));
        assert_eq!(known.collect::<Vec<_>>(), [3, 4]);
        let most = u32::try_from(MOST).expect("a number");
        for last in 0..most + 10 {
            memory.keep(address(last), Mark(1), START, 2);
        }
        assert_eq!(memory.lock().len(), MOST);
        memory.keep(address(most * 2), Mark(1), AGE, 2);
        assert!(memory.has(address(most * 2), Mark(1), AGE));
        assert_eq!(memory.lock().len(), 1);
    }

    #[test]
    fn a_reload_forgets_nothing_and_no_limit_remembers_nothing() {
        let peer = Peer::tcp("192.0.2.1:1".parse().expect("an address"));
        let before = Accepted::new(5, None);
        let mark = before.mark(("app", "Basic x"));
        before.keep(peer, mark);
        let after = Accepted::new(7, Some(&before));
        assert!(after.has(peer, after.mark(("app", "Basic x"))));
        assert!(!after.has(peer, after.mark(("app", "Basic y"))));
        let none = Accepted::new(0, None);
        none.keep(peer, mark);
        assert!(!none.has(peer, mark));
    }
}
