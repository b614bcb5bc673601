//! Limits the concurrent operations of each client address, such as slow look-ups. Further operations of an address
//! wait for its earlier ones, in order, and do not delay other addresses.
//!
//! Must not know the operations.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sweep::Sweep;
use crate::sync::lock;

/// Number of addresses below which no entry is removed.
const FEW: usize = 64;

/// The concurrency limits of all addresses.
#[derive(Debug)]
pub(crate) struct AddressTurns {
    /// Number of concurrent operations of one address.
    each: usize,
    addresses: Mutex<Addresses>,
}

/// Entries of the addresses that run an operation or wait for one, and of some that did.
#[derive(Debug, Default)]
struct Addresses {
    turns: HashMap<IpAddr, Weak<Semaphore>>,
    sweep: Sweep,
}

impl AddressTurns {
    /// Creates the limits, for `each` concurrent operations of an address.
    #[must_use]
    pub(crate) fn new(each: usize) -> Self {
        Self {
            each,
            addresses: Mutex::default(),
        }
    }

    /// Waits until the address may run another operation, which ends when the result is dropped. A client without an
    /// address is not limited.
    pub(crate) async fn take(&self, address: Option<IpAddr>) -> Option<OwnedSemaphorePermit> {
        let turns = self.of(address?);
        // The semaphore is never closed.
        turns.acquire_owned().await.ok()
    }

    fn of(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut addresses = lock(&self.addresses);
        let Addresses { turns, sweep } = &mut *addresses;
        if let Some(known) = turns.get(&address).and_then(Weak::upgrade) {
            return known;
        }
        sweep.run(turns, FEW, |turns| turns.strong_count() > 0);
        let new = Arc::new(Semaphore::new(self.each));
        turns.insert(address, Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt as _;

    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[tokio::test]
    async fn an_address_has_its_turns_and_no_others() {
        let turns = AddressTurns::new(2);
        let first = turns.take(Some(address(1))).await;
        let second = turns.take(Some(address(1))).await;
        assert!(first.is_some() && second.is_some());
        let mut third = Box::pin(turns.take(Some(address(1))));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(turns.take(Some(address(2))).now_or_never().is_some());
        assert!(turns.take(None).now_or_never().is_some());
        drop(first);
        assert!(third.await.is_some());
    }

    #[tokio::test]
    async fn addresses_without_a_turn_are_forgotten() {
        let turns = AddressTurns::new(1);
        let held = turns.take(Some(address(0))).await;
        for number in 1..10_000 {
            assert!(turns.take(Some(address(number))).await.is_some());
        }
        let remembered = lock(&turns.addresses).turns.len();
        assert!(remembered <= FEW, "{remembered}");
        assert!(turns.take(Some(address(0))).now_or_never().is_none());
        drop(held);
        assert!(turns.take(Some(address(0))).now_or_never().is_some());
    }
}
