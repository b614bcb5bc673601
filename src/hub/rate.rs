//! How many may come in a second: a bucket of tokens for all, and one for each address, which is smaller.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

/// The part of one address is never smaller than this: of very little there is nothing to be shared.
const SMALLEST: f64 = 4.0;
/// Addresses at which to look for those that nobody needs any more.
const MANY: usize = 4096;

/// The rate of all, and the part that one address may have of it.
#[derive(Debug)]
pub(super) struct Rates {
    all: Rate,
    /// Tokens a second of one address.
    part: f64,
    addresses: HashMap<IpAddr, Rate>,
    /// The number of addresses at which to look; twice as many as were left the last time.
    limit: usize,
}

/// Who has come too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooFast {
    /// One address.
    Address,
    /// All together.
    All,
}

/// A bucket that holds what comes in one second, and begins full.
#[derive(Clone, Copy, Debug)]
struct Rate {
    a_second: f64,
    tokens: f64,
    at: Instant,
}

impl Rates {
    /// So many a second, of which one address may have this part, in percent.
    pub(super) fn new(rate: u32, percent: u64) -> Self {
        let a_second = f64::from(rate);
        Self {
            all: Rate::new(a_second, Instant::now()),
            part: part_of(a_second, percent),
            addresses: HashMap::new(),
            limit: MANY,
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

    /// Takes a token for one more, of an address or of a program of this machine.
    ///
    /// # Errors
    /// [`TooFast`]; nothing is taken then.
    pub(super) fn take(&mut self, address: Option<IpAddr>, now: Instant) -> Result<(), TooFast> {
        // Whoever may have all has no bucket of his own.
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
        if self.addresses.len() >= self.limit && !self.addresses.contains_key(&address) {
            // One that is full again is as one that was never there.
            self.addresses.retain(|_, rate| !rate.is_full(now));
            self.limit = MANY.max(2 * self.addresses.len());
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

    /// How many of two hundred may come.
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
