//! Rate limits per client: on all requests, on requests to one route, on failed logins and on wrong tokens.
//!
//! A client is an address (for IPv6 a /64 network), as the connection or a trusted proxy reports it. Other properties
//! of a request do not matter, so changing them does not help a client. Independent of the request, and of how a
//! refusal is sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::access::limit_counts::{Counts, Kind, Rate};
use crate::access::proven::{Accepted, Mark};
use crate::config;
use crate::net::Peer;
use crate::sync::lock;

pub(crate) use crate::access::limit_counts::TooMany;

/// Burst of requests, in seconds of the permitted rate: enough for a page with all its parts, for each of the clients
/// that share an address, and then for the next page.
const BURST: u32 = 10;
/// Time for which a brief place is held: an app that refuses a guess has done so by then; an app that takes longer is
/// working on the request, or holds it open.
const BRIEF: Duration = Duration::from_secs(5);
/// Time limit of waiting for a brief place: earlier places are held no longer.
const BRIEF_WAIT: Duration = Duration::from_secs(6);
/// Interval between two attempts to get a brief place, as its end causes no notification.
const AGAIN: Duration = Duration::from_millis(100);

/// Counts of clients towards the limits, which may change. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitCounts {
    requests: Arc<Counts>,
    logins: Arc<Counts>,
    tokens: Arc<Counts>,
    accepted: Accepted,
    app_tokens: Accepted,
}

/// The limits per client.
#[derive(Debug)]
pub(crate) struct Limits {
    requests: Limit,
    logins: Limit,
    accepted: Accepted,
    tokens: Limit,
    app_tokens: Accepted,
}

/// One limit: a number of events in a time, for each address. Clones share the counts.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    rate: Option<Rate>,
    counts: Arc<Counts>,
}

/// A provisional event in a limit. It counts when it is dropped, unless it was forgiven or is shared.
#[derive(Debug)]
pub(crate) struct Place {
    counts: Arc<Counts>,
    rate: Rate,
    address: IpAddr,
    forgiven: bool,
    kind: Kind,
}

impl Limits {
    /// Creates the limits of a configuration over these counts.
    #[must_use]
    pub(crate) fn new(limits: &config::Limits, counts: &LimitCounts) -> Self {
        let a_second = |number| Rate::new(number, Duration::from_secs(1), BURST);
        let a_minute = |number| Rate::new(number, Duration::from_secs(60), 1);
        Self {
            requests: Limit::new(a_second(limits.request_rate), &counts.requests),
            logins: Limit::new(a_minute(limits.login_failures), &counts.logins),
            accepted: counts.accepted.clone(),
            tokens: Limit::new(a_minute(limits.token_failures), &counts.tokens),
            app_tokens: counts.app_tokens.clone(),
        }
    }

    /// The limit on requests of any kind.
    #[must_use]
    pub(crate) fn requests(&self) -> &Limit {
        &self.requests
    }

    /// The limit on failed logins.
    #[must_use]
    pub(crate) fn logins(&self) -> &Limit {
        &self.logins
    }

    /// Accepted credentials, which do not count as guesses.
    #[must_use]
    pub(crate) fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// The limit on unknown tokens.
    #[must_use]
    pub(crate) fn tokens(&self) -> &Limit {
        &self.tokens
    }

    /// Bearer tokens that have counted as wrong once, and may be tokens of the app: a client sends its own with each
    /// message, while a guesser sends different ones.
    #[must_use]
    pub(crate) fn app_tokens(&self) -> &Accepted {
        &self.app_tokens
    }
}

impl Limit {
    fn new(rate: Option<Rate>, counts: &Arc<Counts>) -> Self {
        Self {
            rate,
            counts: Arc::clone(counts),
        }
    }

    /// Counts without a limit, for several limits that share them.
    #[must_use]
    pub(crate) fn unlimited() -> Self {
        Self::new(None, &Arc::default())
    }

    /// A limit with the counts of this one: one event in `each`, and `burst` more at once.
    #[must_use]
    pub(crate) fn with_burst(&self, each: Duration, burst: u32) -> Self {
        // The first event of a burst is in its turn.
        let burst = each * burst.saturating_add(1);
        Self::new(Some(Rate { each, burst }), &self.counts)
    }

    /// Counts an event, if the limit permits it. Returns the time by which the event is ahead of the rate, that is the
    /// part of the burst that it uses.
    ///
    /// # Errors
    /// [`TooMany`] with the time to wait; the event is not counted then.
    pub(crate) fn take(&self, peer: Peer) -> Result<Duration, TooMany> {
        let (Some(rate), Some(address)) = (self.rate, peer.counted_as()) else {
            return Ok(Duration::ZERO);
        };
        self.counts.change(address, |used, now| {
            rate.has_room(*used, now)?;
            let turn = (*used).max(now);
            *used = turn + rate.each;
            Ok(turn.saturating_sub(now))
        })
    }

    /// Checks the limit without counting an event.
    ///
    /// # Errors
    /// [`TooMany`] with the time to wait.
    pub(crate) fn check(&self, peer: Peer) -> Result<(), TooMany> {
        let (Some(rate), Some(address)) = (self.rate, peer.counted_as()) else {
            return Ok(());
        };
        self.counts
            .inspect(address, |used, now| rate.has_room(used, now))
    }

    /// Counts an event that has happened, even beyond the limit: a client with many events at once is refused for
    /// longer.
    pub(crate) fn count(&self, peer: Peer) {
        if let (Some(rate), Some(address)) = (self.rate, peer.counted_as()) {
            self.counts.count(address, rate);
        }
    }

    /// Takes a provisional place in a limit, if it permits one; `None` if there is no limit. The place does not expire
    /// while it is held, so that no more is forgiven than was counted. Requests with the same mark share a place.
    ///
    /// # Errors
    /// [`TooMany`] with the time to wait.
    pub(crate) fn hold(&self, peer: Peer, shared: Option<Mark>) -> Result<Option<Place>, TooMany> {
        self.place(peer, |_| shared.map_or(Kind::Own, Kind::Shared))
    }

    /// Takes a place that expires for other requests after five seconds, and waits until one is free: for credentials
    /// that change with each request, or that are sent with requests whose responses come late. It counts like other
    /// places.
    ///
    /// # Errors
    /// [`TooMany`] with the time to wait; at once if the counted events alone reach the limit.
    pub(crate) async fn hold_briefly(&self, peer: Peer) -> Result<Option<Place>, TooMany> {
        let place = async {
            loop {
                // Before the try, so that what is given back meanwhile counts.
                let freed = self.counts.freed.notified();
                let brief = self.place(peer, |now| Kind::Brief(now + BRIEF));
                if brief.is_ok() || self.check(peer).is_err() {
                    return brief;
                }
                tokio::select! {
                    () = freed => {}
                    () = sleep(AGAIN) => {}
                }
            }
        };
        let held = timeout(BRIEF_WAIT, place).await;
        held.unwrap_or(Err(TooMany(BRIEF)))
    }

    fn place(
        &self,
        peer: Peer,
        kind: impl FnOnce(Duration) -> Kind,
    ) -> Result<Option<Place>, TooMany> {
        let (Some(rate), Some(address)) = (self.rate, peer.counted_as()) else {
            return Ok(None);
        };
        let mut held = lock(&self.counts.held);
        let now = self.counts.since.elapsed();
        let kind = kind(now);
        let of_address = held.get_mut(&address);
        let others = of_address.map_or(0, |held| held.others(kind, now));
        self.counts.inspect(address, |used, now| {
            rate.has_room(used.max(now) + rate.each * others, now)
        })?;
        held.entry(address).or_default().add(kind);
        Ok(Some(Place {
            counts: Arc::clone(&self.counts),
            rate,
            address,
            forgiven: false,
            kind,
        }))
    }
}

impl Place {
    /// Releases the place without counting the event.
    pub(crate) fn forgive(mut self) {
        self.forgiven = true;
    }

    /// True if the event counts when the place is dropped.
    #[must_use]
    pub(crate) fn counts(&self) -> bool {
        !matches!(self.kind, Kind::Shared(_))
    }
}

impl Drop for Place {
    /// Counts the event unless it was forgiven: its outcome was a failure, or its client has left.
    fn drop(&mut self) {
        let mut held = lock(&self.counts.held);
        if !self.forgiven && self.counts() {
            self.counts.count(self.address, self.rate);
        }
        if let Some(of_address) = held.get_mut(&self.address) {
            of_address.give_back(self.kind);
            if of_address.is_empty() {
                held.remove(&self.address);
            }
        }
        self.counts.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
