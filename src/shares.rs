//! Fair shares of a resource that all clients use, of which one client can only take a part: subscriptions,
//! channels, memory and disk for request bodies.
//!
//! An address (an IPv6 network) and a session each have a share. The last quarter is a reserve for clients that
//! hold little: a client at its share, or a few of them together, leave room for the next. A held amount is
//! released when its [`Share`] is dropped. Independent of the resource, and of how a refusal is sent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::config::Limits;
use crate::sync::lock;

/// Minimum of a share: a tiny resource is not divided.
const SMALLEST: u64 = 4;
/// The reserve, as a divisor of the total, from which only clients get something that hold little.
const RESERVE: u64 = 4;
/// The amount that counts as little, as a divisor of the total.
const LITTLE: u64 = 32;

/// A resource with a total and shares. Clones share the counts.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    rules: Arc<Mutex<Rules>>,
    taken: HeldAmounts,
}

/// The amounts that clients hold. Several [`Shares`] of different sizes may count the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldAmounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    held: Mutex<Totals>,
    /// Notified when an amount is released.
    freed: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    total: u64,
    parts: Parts,
}

/// The client that holds an amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// The address, in the form used for limits; `None` for programs of this machine.
    pub address: Option<IpAddr>,
    /// Number of its session, if it has one.
    pub session: Option<NonZeroU64>,
}

/// Sizes of the shares, in percent of the total; 100 and more means all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Share of one address.
    pub address: u64,
    /// Share of one session.
    pub session: u64,
}

/// Reasons why a client gets no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The client's share is used up.
    Client,
    /// The total is used up.
    All,
}

#[derive(Debug, Default)]
struct Totals {
    taken: u64,
    addresses: HashMap<IpAddr, u64>,
    sessions: HashMap<NonZeroU64, u64>,
}

/// The amount that one client holds, released when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Shares,
    client: Client,
    held: u64,
}

impl From<&Limits> for Parts {
    fn from(limits: &Limits) -> Self {
        Self {
            address: limits.address_share,
            session: limits.session_share,
        }
    }
}

impl Shares {
    /// Creates a resource of this size, of which nothing is taken.
    #[must_use]
    pub(crate) fn new(total: u64, parts: Parts) -> Self {
        Self::of_taken(&HeldAmounts::default(), total, parts)
    }

    /// Creates a resource of this size, of which that is taken.
    #[must_use]
    pub(crate) fn of_taken(taken: &HeldAmounts, total: u64, parts: Parts) -> Self {
        Self {
            rules: Arc::new(Mutex::new(Rules { total, parts })),
            taken: taken.clone(),
        }
    }

    /// Changes size and shares. Held amounts are not affected.
    pub(crate) fn change(&self, total: u64, parts: Parts) {
        *lock(&self.rules) = Rules { total, parts };
    }

    /// The amount taken.
    #[must_use]
    pub(crate) fn taken(&self) -> u64 {
        self.taken.amount()
    }

    /// True if more than half of the total is taken.
    #[must_use]
    pub(crate) fn is_tight(&self) -> bool {
        self.taken() > lock(&self.rules).total / 2
    }

    /// A share that holds nothing yet.
    #[must_use]
    pub(crate) fn of(&self, client: Client) -> Share {
        Share {
            of: self.clone(),
            client,
            held: 0,
        }
    }

    /// Takes an amount for this client.
    ///
    /// # Errors
    /// [`Denied`] says which limit is reached; nothing is taken then.
    pub(crate) fn take(&self, client: Client, amount: u64) -> Result<Share, Denied> {
        let mut share = self.of(client);
        share.take(amount).map(|()| share)
    }

    /// Takes an amount for this client, and waits for it up to a time limit.
    ///
    /// # Errors
    /// [`Denied`] says which limit was still reached at the end of that time.
    pub(crate) async fn take_within(
        &self,
        limit: Duration,
        client: Client,
        amount: u64,
    ) -> Result<Share, Denied> {
        let end = Instant::now() + limit;
        loop {
            // Before the try, so that what is given back meanwhile counts.
            let freed = self.taken.0.freed.notified();
            let denied = match self.take(client, amount) {
                Ok(share) => return Ok(share),
                Err(denied) => denied,
            };
            if timeout_at(end, freed).await.is_err() {
                return Err(denied);
            }
        }
    }
}

impl HeldAmounts {
    /// The sum of all amounts.
    #[must_use]
    pub(crate) fn amount(&self) -> u64 {
        lock(&self.0.held).taken
    }
}

impl Rules {
    fn part(self, percent: u64) -> u64 {
        let part = u128::from(self.total) * u128::from(percent) / 100;
        u64::try_from(part)
            .unwrap_or(u64::MAX)
            .clamp(SMALLEST.min(self.total), self.total)
    }

    /// Size of the reserve: 0 if one address may take everything, or if the total is tiny.
    fn reserve(self) -> u64 {
        let shared = self.parts.address < 100 && self.total >= RESERVE * 2;
        if shared { self.total / RESERVE } else { 0 }
    }
}

impl Totals {
    fn take(&mut self, rules: Rules, client: Client, amount: u64) -> Result<(), Denied> {
        let taken = self.taken.checked_add(amount).ok_or(Denied::All)?;
        if taken > rules.total {
            return Err(Denied::All);
        }
        let held = |held: Option<&u64>| held.copied().unwrap_or_default() + amount;
        if let Some(address) = client.address {
            let held = held(self.addresses.get(&address));
            let in_reserve = taken > rules.total - rules.reserve();
            if held > rules.part(rules.parts.address)
                || (in_reserve && held > (rules.total / LITTLE).max(1))
            {
                return Err(Denied::Client);
            }
        }
        if let Some(session) = client.session
            && held(self.sessions.get(&session)) > rules.part(rules.parts.session)
        {
            return Err(Denied::Client);
        }
        self.taken = taken;
        if let Some(address) = client.address {
            *self.addresses.entry(address).or_default() += amount;
        }
        if let Some(session) = client.session {
            *self.sessions.entry(session).or_default() += amount;
        }
        Ok(())
    }

    fn give_back(&mut self, client: Client, amount: u64) {
        self.taken -= amount;
        if let Some(address) = client.address {
            subtract(&mut self.addresses, address, amount);
        }
        if let Some(session) = client.session {
            subtract(&mut self.sessions, session, amount);
        }
    }
}

/// Subtracts an amount, and removes a client that holds nothing more from the map, which a scan from many
/// addresses would fill otherwise.
fn subtract<K: Eq + Hash>(map: &mut HashMap<K, u64>, key: K, amount: u64) {
    if let Entry::Occupied(mut held) = map.entry(key) {
        *held.get_mut() = held.get().saturating_sub(amount);
        if *held.get() == 0 {
            held.remove();
        }
    }
}

impl Share {
    /// Takes a further amount.
    ///
    /// # Errors
    /// [`Denied`] says which limit is reached; the held amount is unchanged then.
    pub(crate) fn take(&mut self, amount: u64) -> Result<(), Denied> {
        let rules = *lock(&self.of.rules);
        lock(&self.of.taken.0.held).take(rules, self.client, amount)?;
        self.held += amount;
        Ok(())
    }

    /// The amount held.
    #[must_use]
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Releases an amount.
    pub(crate) fn give_back(&mut self, amount: u64) {
        let amount = amount.min(self.held);
        if amount > 0 {
            self.held -= amount;
            lock(&self.of.taken.0.held).give_back(self.client, amount);
            self.of.taken.0.freed.notify_waiters();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.held);
    }
}

#[cfg(test)]
mod tests;
