//! Limits on connections, in total and from one address.
//!
//! A [`ConnectionPermit`] belongs to the stream, not to the task that serves it: an upgraded stream moves to another
//! task, and a permit that stayed behind would admit a second client beyond the limit. A tunnel inside an HTTP/2
//! connection counts as a connection of its own: it opens a socket to its target, as one over HTTP/1.1 does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::net::Peer;
use crate::net::address_limit::{AddressLimit, AddressPermit};
use crate::sync::lock;

/// The connection permits of all listeners together. Clones share the counts.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionPermits {
    all: Arc<Semaphore>,
    by_address: AddressLimit,
    /// The configured total.
    size: Arc<Mutex<usize>>,
    surplus: Arc<Surplus>,
}

/// Number of permits that still have to be removed, because they were in use when the limit was lowered: each is
/// removed when its connection ends.
#[derive(Debug, Default)]
struct Surplus(AtomicUsize);

/// Reasons why a tunnel gets no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPermit {
    /// The address of the client is at its limit.
    Address,
    /// The total limit is reached.
    All,
}

/// The permit of one connection, released when it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    /// The permit of the total limit; `None` if another connection holds it.
    permit: Option<OwnedSemaphorePermit>,
    surplus: Arc<Surplus>,
    #[expect(dead_code, reason = "it is held, and released with this permit")]
    address: Option<AddressPermit>,
    /// The permit of the route of a tunnel, if the route has a limit.
    route: Option<AddressPermit>,
}

impl ConnectionPermits {
    /// Creates the limits: `connections` in total, and `by_address` of them for one client address (0: no such limit).
    #[must_use]
    pub(crate) fn new(connections: usize, by_address: usize) -> Self {
        let connections = connections.min(Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(connections)),
            by_address: AddressLimit::new(by_address),
            size: Arc::new(Mutex::new(connections)),
            surplus: Arc::default(),
        }
    }

    /// Changes the limits. If the total is below the number in use, no connection is cut, and none is accepted
    /// until enough have ended.
    pub(crate) fn change(&self, connections: usize, by_address: usize) {
        self.by_address.change(by_address);
        let connections = connections.min(Semaphore::MAX_PERMITS);
        let mut size = lock(&self.size);
        if connections > *size {
            let more = connections - *size;
            self.all.add_permits(more - self.surplus.cancel(more));
        } else {
            let fewer = *size - connections;
            let taken = self.all.forget_permits(fewer);
            self.surplus.0.fetch_add(fewer - taken, Ordering::AcqRel);
        }
        *size = connections;
    }

    /// Waits for a free permit. A listener calls this after it has accepted a connection, and accepts no other until
    /// there is one, so that connections beyond the limit wait in the kernel's backlog. If it waited before accepting,
    /// every idle listener would hold a permit that another one needs.
    pub(crate) async fn free(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.all).acquire_owned().await;
        permit.expect("this semaphore is never closed")
    }

    /// True if the next [`free`](Self::free) has to wait.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.all.available_permits() == 0
    }

    /// The permit for a connection of a proxy, which has no limit by address since it carries the requests of all its
    /// clients.
    #[must_use]
    pub(crate) fn take_uncounted(&self, permit: OwnedSemaphorePermit) -> ConnectionPermit {
        self.new_permit(Some(permit), None)
    }

    /// The total limit.
    #[must_use]
    pub(crate) fn limit(&self) -> usize {
        *lock(&self.size)
    }

    /// Number of permits in use.
    #[must_use]
    pub(crate) fn taken(&self) -> usize {
        self.limit().saturating_sub(self.all.available_permits())
    }

    /// The permit for an accepted peer; `None` if its address is at its limit.
    #[must_use]
    pub(crate) fn take(
        &self,
        permit: OwnedSemaphorePermit,
        peer: &Peer,
    ) -> Option<ConnectionPermit> {
        let address = self.by_address.take(peer)?;
        Some(self.new_permit(Some(permit), address))
    }

    /// Takes the permit for a tunnel inside a connection with several streams.
    ///
    /// # Errors
    /// [`NoPermit`] if a limit is reached. It does not wait, because the waiting client itself would hold a connection.
    pub(crate) fn take_inner(&self, peer: &Peer) -> Result<ConnectionPermit, NoPermit> {
        let permit = Arc::clone(&self.all).try_acquire_owned();
        let permit = permit.map_err(|_| NoPermit::All)?;
        self.take(permit, peer).ok_or(NoPermit::Address)
    }

    /// Takes the permit for a tunnel of a proxy's client; the proxy's connection holds the permit of the total
    /// limit.
    ///
    /// # Errors
    /// [`NoPermit::Address`] if the client's address is at its limit.
    pub(crate) fn take_of_address(&self, peer: &Peer) -> Result<ConnectionPermit, NoPermit> {
        let address = self.by_address.take(peer).ok_or(NoPermit::Address)?;
        Ok(self.new_permit(None, address))
    }

    fn new_permit(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        address: Option<AddressPermit>,
    ) -> ConnectionPermit {
        ConnectionPermit {
            permit,
            surplus: Arc::clone(&self.surplus),
            address,
            route: None,
        }
    }
}

impl ConnectionPermit {
    /// Adds the permit of a tunnel's route to the permit of its connection, if there are such permits.
    #[must_use]
    pub(crate) fn with_route(
        connection: Option<Self>,
        route: Option<AddressPermit>,
    ) -> Option<Self> {
        let Some(route) = route else {
            return connection;
        };
        let mut connection = connection.unwrap_or_else(|| Self {
            permit: None,
            surplus: Arc::default(),
            address: None,
            route: None,
        });
        connection.route = Some(route);
        Some(connection)
    }
}

impl Surplus {
    /// Removes at most `most` of the pending permits, and returns the number.
    fn cancel(&self, most: usize) -> usize {
        let less = |surplus: usize| Some(surplus - surplus.min(most));
        let before = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        before.unwrap_or(0).min(most)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.surplus.cancel(1) == 1
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::tcp(address.parse().expect("an address"))
    }

    #[tokio::test]
    async fn an_address_gets_its_share_and_no_more_until_one_ends() {
        let permits = ConnectionPermits::new(10, 1);
        let first = permits.take(permits.free().await, &peer("192.0.2.1:1"));
        assert!(first.is_some());
        assert!(
            permits
                .take(permits.free().await, &peer("192.0.2.1:2"))
                .is_none()
        );
        assert!(
            permits
                .take(permits.free().await, &peer("192.0.2.2:1"))
                .is_some()
        );
        drop(first);
        assert!(
            permits
                .take(permits.free().await, &peer("192.0.2.1:3"))
                .is_some()
        );
        assert_eq!(
            permits.by_address.addresses(),
            0,
            "addresses without a connection are forgotten"
        );
    }

    #[tokio::test]
    async fn fewer_places_cut_nobody_off_and_more_let_in_at_once() {
        let permits = ConnectionPermits::new(3, 0);
        let mut open = Vec::new();
        for port in 1..=3 {
            let peer = peer(&format!("192.0.2.1:{port}"));
            open.extend(permits.take(permits.free().await, &peer));
        }
        permits.change(1, 0);
        open.truncate(1);
        assert!(permits.is_full(), "one is open, and one may be");
        permits.change(2, 0);
        assert!(!permits.is_full());
        permits.change(1, 0);
        permits.change(3, 0);
        assert_eq!(permits.all.available_permits(), 2);
        open.clear();
        assert_eq!(permits.all.available_permits(), 3);
    }

    #[tokio::test]
    async fn a_tunnel_inside_a_connection_counts_as_another_one() {
        let permits = ConnectionPermits::new(3, 2);
        let one = peer("192.0.2.1:1");
        let connection = permits.take(permits.free().await, &one);
        let tunnel = permits.take_inner(&one).expect("there is room");
        assert_eq!(permits.taken(), 2);
        assert_eq!(permits.take_inner(&one).err(), Some(NoPermit::Address));
        assert_eq!(permits.take_of_address(&one).err(), Some(NoPermit::Address));
        let other = permits.take_inner(&peer("192.0.2.2:1"));
        let full = permits.take_inner(&peer("192.0.2.3:1"));
        assert_eq!(full.err(), Some(NoPermit::All));
        assert!(permits.take_of_address(&peer("192.0.2.3:1")).is_ok());
        drop((tunnel, other));
        assert!(permits.take_inner(&one).is_ok());
        drop(connection);
        assert_eq!(permits.taken(), 0);
        assert_eq!(permits.by_address.addresses(), 0);
    }

    #[tokio::test]
    async fn a_refused_peer_gives_its_place_back() {
        let permits = ConnectionPermits::new(1, 1);
        let first = permits.take(permits.free().await, &peer("192.0.2.1:1"));
        assert!(permits.is_full());
        drop(first);
        assert!(!permits.is_full());
    }
}
