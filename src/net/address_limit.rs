//! A limit on the number of items that one client address holds at a time: connections, or requests in progress at a
//! route.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::net::Peer;
use crate::sync::lock;

/// The limit, and the number that each address holds. Clones share the counts. Its memory is bounded, because the total
/// over all addresses has limits of its own.
#[derive(Clone, Debug)]
pub(crate) struct AddressLimit(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// The limit; 0 means that addresses are not counted.
    limit: AtomicUsize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// A permit of an address, released when it is dropped.
#[derive(Debug)]
pub(crate) struct AddressPermit {
    address: IpAddr,
    counts: Arc<Counts>,
}

impl AddressLimit {
    /// Creates a limit with no permits taken; 0 means no limit.
    #[must_use]
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Counts {
            limit: AtomicUsize::new(limit),
            held: Mutex::default(),
        }))
    }

    /// Changes the limit. Permits beyond it stay valid.
    pub(crate) fn change(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// Takes a permit for a peer; `None` if its address is at the limit, and `Some(None)` if there is no limit.
    #[must_use]
    #[expect(clippy::option_option, reason = "no room is not the same as no limit")]
    pub(crate) fn take(&self, peer: &Peer) -> Option<Option<AddressPermit>> {
        self.take_of(peer, self.0.limit.load(Ordering::Relaxed))
    }

    /// Takes a permit like [`take`](Self::take) with another limit, for routes with common counts.
    #[must_use]
    #[expect(clippy::option_option, reason = "no room is not the same as no limit")]
    pub(crate) fn take_of(&self, peer: &Peer, limit: usize) -> Option<Option<AddressPermit>> {
        let Some(address) = peer.counted_as().filter(|_| limit > 0) else {
            return Some(None);
        };
        let permit = || AddressPermit {
            address,
            counts: Arc::clone(&self.0),
        };
        self.0.enter(address, limit).then(|| Some(permit()))
    }

    /// Number of addresses that hold a permit.
    #[cfg(test)]
    pub(super) fn addresses(&self) -> usize {
        lock(&self.0.held).len()
    }
}

impl Counts {
    fn enter(&self, address: IpAddr, limit: usize) -> bool {
        let mut held = lock(&self.held);
        let free = held.get(&address).is_none_or(|count| *count < limit);
        if free {
            *held.entry(address).or_insert(0) += 1;
        }
        free
    }

    fn leave(&self, address: IpAddr) {
        let mut held = lock(&self.held);
        if let Entry::Occupied(mut entry) = held.entry(address) {
            *entry.get_mut() -= 1;
            // An address that left must not stay in the map: a scan of many addresses would fill it.
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        self.counts.leave(self.address);
    }
}
