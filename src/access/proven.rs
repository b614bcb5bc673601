//! Recently accepted credentials, by address: a browser sends the same credential with every request, while a guesser
//! sends different ones.
//!
//! A page without access control accepts any credential, so an acceptance is valid for its own page only, unless Noren
//! itself has verified the password. Must not know the kind of credential, or what it opens.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::net::Peer;
use crate::sync::lock;

/// Limit on remembered addresses. Credentials at further addresses never count as accepted.
const MOST: usize = 10_000;
/// Limit on remembered credentials of one address.
const EACH: usize = 64;
/// Limit on remembered pages of one address, each with the credential that it accepted.
const PAGES: usize = 128;
/// Time for which an acceptance is remembered.
const AGE: Duration = Duration::from_secs(3600);

/// The accepted credentials. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accepted(Arc<Memory>);

/// A remembered credential or page: its hash, with a key that changes at every start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark(u64);

/// The standing of a credential at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The credential was not accepted recently.
    Unknown,
    /// Accepted for another page, which may have no access control.
    Elsewhere,
    /// Accepted for this page, or verified by Noren.
    Good,
}

/// The pages for which an acceptance is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One page, which may accept any credential.
    Page(Mark),
    /// No known page: the request may have been for one that accepts any credential.
    Somewhere,
    /// All pages: Noren has verified the password.
    Everywhere,
}

#[derive(Debug)]
struct Memory {
    hasher: RandomState,
    since: Instant,
    addresses: Mutex<HashMap<IpAddr, OfAddress>>,
}

/// The acceptances of one address, the oldest first.
#[derive(Debug, Default)]
struct OfAddress {
    credentials: VecDeque<Credential>,
    /// Pages, each with the credential that it has accepted.
    pages: VecDeque<(Mark, Mark)>,
}

#[derive(Clone, Copy, Debug)]
struct Credential {
    mark: Mark,
    /// Time of the last acceptance.
    at: Duration,
    is_proven: bool,
}

impl Accepted {
    /// Hashes a credential or a page.
    #[must_use]
    pub(crate) fn mark(&self, value: impl Hash) -> Mark {
        Mark(self.0.hasher.hash_one(value))
    }

    /// Returns the standing of a credential at an address, for this page.
    #[must_use]
    pub(crate) fn standing(&self, peer: Peer, credential: Mark, page: Option<Mark>) -> Standing {
        let now = self.0.since.elapsed();
        peer.counted_as().map_or(Standing::Unknown, |address| {
            self.0.standing(address, credential, page, now)
        })
    }

    /// Remembers an accepted credential.
    pub(crate) fn keep(&self, peer: Peer, credential: Mark, extent: Extent) {
        let now = self.0.since.elapsed();
        if let Some(address) = peer.counted_as() {
            self.0.keep(address, credential, extent, now);
        }
    }

    /// Forgets a credential that is not accepted any more.
    pub(crate) fn forget(&self, peer: Peer, credential: Mark) {
        if let Some(address) = peer.counted_as() {
            self.0.forget(address, credential);
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
    fn standing(
        &self,
        address: IpAddr,
        credential: Mark,
        page: Option<Mark>,
        now: Duration,
    ) -> Standing {
        let addresses = self.lock();
        let Some(of_address) = addresses.get(&address) else {
            return Standing::Unknown;
        };
        let mut known = of_address.credentials.iter();
        let Some(known) = known.find(|known| known.mark == credential && known.is_valid(now))
        else {
            return Standing::Unknown;
        };
        let is_of_page = |page| of_address.pages.contains(&(credential, page));
        if known.is_proven || page.is_some_and(is_of_page) {
            Standing::Good
        } else {
            Standing::Elsewhere
        }
    }

    fn keep(&self, address: IpAddr, credential: Mark, extent: Extent, now: Duration) {
        let mut addresses = self.lock();
        if addresses.len() >= MOST && !addresses.contains_key(&address) {
            addresses.retain(|_, of_address| {
                let last = of_address.credentials.back();
                last.is_some_and(|last| last.is_valid(now))
            });
            if addresses.len() >= MOST {
                return;
            }
        }
        let of_address = addresses.entry(address).or_default();
        let before = of_address.take(credential);
        let was_proven = before.is_some_and(|before| before.is_proven && before.is_valid(now));
        of_address.credentials.push_back(Credential {
            mark: credential,
            at: now,
            is_proven: was_proven || extent == Extent::Everywhere,
        });
        if let Extent::Page(page) = extent {
            of_address
                .pages
                .retain(|known| *known != (credential, page));
            of_address.pages.push_back((credential, page));
        }
        of_address.keep_to_the_limits();
    }

    fn forget(&self, address: IpAddr, credential: Mark) {
        let mut addresses = self.lock();
        if let Some(of_address) = addresses.get_mut(&address) {
            of_address.take(credential);
            of_address.pages.retain(|(of, _)| *of != credential);
            if of_address.credentials.is_empty() {
                addresses.remove(&address);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, OfAddress>> {
        lock(&self.addresses)
    }
}

impl Credential {
    fn is_valid(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) < AGE
    }
}

impl OfAddress {
    fn take(&mut self, mark: Mark) -> Option<Credential> {
        let at = self
            .credentials
            .iter()
            .position(|known| known.mark == mark)?;
        self.credentials.remove(at)
    }

    fn keep_to_the_limits(&mut self) {
        while self.credentials.len() > EACH
            && let Some(oldest) = self.credentials.pop_front()
        {
            self.pages.retain(|(of, _)| *of != oldest.mark);
        }
        while self.pages.len() > PAGES {
            self.pages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;
    const PAGE: Mark = Mark(100);
    const OTHER: Mark = Mark(101);

    fn address(last: u32) -> IpAddr {
        IpAddr::from(last.to_be_bytes())
    }

    #[test]
    fn what_was_accepted_is_known_for_its_address_and_its_time_until_it_fails() {
        let memory = Memory::default();
        let standing =
            |last, mark, now| memory.standing(address(last), Mark(mark), Some(PAGE), now);
        memory.keep(address(1), Mark(7), Extent::Page(PAGE), START);
        assert_eq!(standing(1, 7, AGE / 2), Standing::Good);
        assert_eq!(standing(2, 7, START), Standing::Unknown);
        assert_eq!(standing(1, 8, START), Standing::Unknown);
        assert_eq!(standing(1, 7, AGE), Standing::Unknown);
        memory.keep(address(1), Mark(7), Extent::Page(PAGE), AGE);
        assert_eq!(standing(1, 7, AGE), Standing::Good);
        memory.forget(address(1), Mark(7));
        assert_eq!(standing(1, 7, AGE), Standing::Unknown);
        assert!(memory.lock().is_empty());
    }

    #[test]
    fn a_page_that_accepts_it_says_nothing_of_others_and_a_proof_does() {
        let memory = Memory::default();
        let standing = |page| memory.standing(address(1), Mark(7), page, START);
        memory.keep(address(1), Mark(7), Extent::Page(PAGE), START);
        assert_eq!(standing(Some(PAGE)), Standing::Good);
        assert_eq!(standing(Some(OTHER)), Standing::Elsewhere);
        assert_eq!(standing(None), Standing::Elsewhere);
        memory.keep(address(1), Mark(7), Extent::Everywhere, START);
        memory.keep(address(1), Mark(7), Extent::Somewhere, START);
        for page in [Some(PAGE), Some(OTHER), None] {
            assert_eq!(standing(page), Standing::Good);
        }
    }

    #[test]
    fn an_address_has_the_last_few_only_and_no_more_addresses_than_there_is_room_for() {
        let memory = Memory::default();
        let each = u64::try_from(EACH).expect("a number");
        for number in 0..each + 5 {
            memory.keep(address(1), Mark(number), Extent::Page(PAGE), START);
        }
        let is_known =
            |mark| memory.standing(address(1), Mark(mark), None, START) != Standing::Unknown;
        let known = (0..each + 5).filter(|mark| is_known(*mark)).count();
        assert_eq!((known, is_known(4), is_known(5)), (EACH, false, true));
        for page in 0..1000 {
            memory.keep(address(1), Mark(5), Extent::Page(Mark(page)), START);
        }
        assert_eq!(
            memory.lock().get(&address(1)).map(|of| of.pages.len()),
            Some(PAGES)
        );
        let most = u32::try_from(MOST).expect("a number");
        for last in 0..most + 10 {
            memory.keep(address(last), Mark(1), Extent::Somewhere, START);
        }
        assert_eq!(memory.lock().len(), MOST);
        memory.keep(address(most * 2), Mark(1), Extent::Everywhere, AGE);
        assert_eq!(
            memory.standing(address(most * 2), Mark(1), None, AGE),
            Standing::Good
        );
        assert_eq!(memory.lock().len(), 1);
    }

    #[test]
    fn a_credential_is_accepted_where_it_was_and_no_other_is() {
        let peer = Peer::tcp("192.0.2.1:1".parse().expect("an address"));
        let before = Accepted::default();
        let mark = before.mark(("app", "Basic x"));
        before.keep(peer, mark, Extent::Everywhere);
        let after = before.clone();
        let of = |text| after.standing(peer, after.mark(("app", text)), None);
        assert_eq!(of("Basic x"), Standing::Good);
        assert_eq!(of("Basic y"), Standing::Unknown);
    }
}
