//! Rate limiter for new subscribers: a token bucket for all of them, and a smaller one for each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::sweep::Sweep;

/// Minimum rate of one address, in tokens per second: a very low total rate is not divided among addresses.
const SMALLEST: f64 = 4.0;
/// Number of addresses at which full buckets are removed.
const MANY: usize = 4096;

/// The token buckets of all subscribers together and of each address.
#[derive(Debug)]
pub(super) struct Rates {
    all: Rate,
    /// Tokens per second of one address.
    part: f64,
    addresses: HashMap<IpAddr, Rate>,
    sweep: Sweep,
}

/// The bucket that is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooFast {
    /// One address.
    Address,
    /// All together.
    All,
}

/// A token bucket with the capacity of one second, initially full.
#[derive(Clone, Copy, Debug)]
struct Rate {
    a_second: f64,
    tokens: f64,
    at: Instant,
}

impl Rates {
    /// Creates full buckets for a rate per second and the percentage of it that one address may use.
    pub(super) fn new(rate: u32, percent: u64) -> Self {
        let a_second = f64::from(rate);
        Self {
            all: Rate::new(a_second, Instant::now()),
            part: part_of(a_second, percent),
            addresses: HashMap::new(),
            sweep: Sweep::default(),
        }
    }

    pub(super) fn change(&mut self, rate: u32, percent: u64) {
        let a_second = f64::from(rate);
        self.all.change(a_second);
        self.part = part_of(a_second, percent);
        for of_address in self.addresses.values_mut() {
            of_address.change(self.part);
        }
    }

    /// Takes a token for a subscriber at an address; a local program has no address.
    ///
    /// # Errors
    /// [`TooFast`]; nothing is taken then.
    pub(super) fn take(&mut self, address: Option<IpAddr>, now: Instant) -> Result<(), TooFast> {
        // An address that may use the whole rate needs no bucket.
        let address = address.filter(|_| self.part < self.all.a_second);
        if let Some(address) = address
            && !self.of(address, now).has_one(now)
        {
            return Err(TooFast::Address);
        }
        if !self.all.has_one(now) {
            return Err(TooFast::All);
        }
        self.all.tokens -= 1.0;
        if let Some(address) = address {
            self.of(address, now).tokens -= 1.0;
        }
        Ok(())
    }

    fn of(&mut self, address: IpAddr, now: Instant) -> &mut Rate {
        if !self.addresses.contains_key(&address) {
            // A full bucket is the same as a new one.
            let is_used = |rate: &mut Rate| !rate.is_full(now);
            self.sweep.run(&mut self.addresses, MANY, is_used);
        }
        let part = self.part;
        self.addresses
            .entry(address)
            .or_insert_with(|| Rate::new(part, now))
    }
}

fn part_of(a_second: f64, percent: u64) -> f64 {
    let percent = u32::try_from(percent.min(100)).unwrap_or(100);
    (a_second * f64::from(percent) / 100.0)
        .max(SMALLEST)
        .min(a_second)
}

impl Rate {
    fn new(a_second: f64, now: Instant) -> Self {
        Self {
            a_second,
            tokens: a_second,
            at: now,
        }
    }

    fn change(&mut self, a_second: f64) {
        self.a_second = a_second;
        self.tokens = self.tokens.min(a_second);
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * self.a_second).min(self.a_second);
    }

    fn has_one(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= 1.0
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.a_second
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(last: u32) -> IpAddr {
        IpAddr::from(last.to_be_bytes())
    }

    /// The number of subscribers that are admitted of two hundred.
    fn come(rates: &mut Rates, address: impl Into<Option<IpAddr>>, now: Instant) -> usize {
        let address = address.into();
        let coming = (0..200).filter(|_| rates.take(address, now).is_ok());
        coming.count()
    }

    #[test]
    fn so_many_may_come_at_once_and_then_so_many_a_second() {
        let mut rates = Rates::new(10, 100);
        let start = rates.all.at;
        assert_eq!(come(&mut rates, address(1), start), 10);
        let later = start + Duration::from_millis(500);
        assert_eq!(come(&mut rates, None, later), 5);
        let much_later = start + Duration::from_secs(60);
        assert_eq!(come(&mut rates, address(1), much_later), 10);
        assert!(rates.addresses.is_empty());
    }

    #[test]
    fn one_address_has_its_part_and_others_have_the_rest() {
        let mut rates = Rates::new(100, 50);
        let start = rates.all.at;
        assert_eq!(come(&mut rates, address(1), start), 50);
        assert_eq!(rates.take(Some(address(1)), start), Err(TooFast::Address));
        assert_eq!(come(&mut rates, address(2), start), 50);
        assert_eq!(rates.take(Some(address(3)), start), Err(TooFast::All));
        let later = start + Duration::from_secs(1);
        assert_eq!(come(&mut rates, None, later), 100);
    }

    #[test]
    fn of_very_little_one_may_have_all_and_a_reload_changes_the_parts() {
        let mut rates = Rates::new(4, 50);
        let start = rates.all.at;
        assert_eq!(come(&mut rates, address(1), start), 4);
        rates.change(100, 10);
        let later = start + Duration::from_secs(60);
        assert_eq!(come(&mut rates, address(1), later), 10);
    }

    #[test]
    fn addresses_that_have_not_come_for_a_second_are_forgotten() {
        let mut rates = Rates::new(1_000_000, 50);
        let start = rates.all.at;
        for last in 0..20_000 {
            let passed = Duration::from_millis(u64::from(last));
            assert!(rates.take(Some(address(last)), start + passed).is_ok());
        }
        assert!(rates.addresses.len() <= MANY, "{}", rates.addresses.len());
    }
}
