//! `request-rate` and `requests-per-address` of an `[[app]]` and of `[[files]]`: what one client address may ask of
//! them. Counts nothing.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::reader::Table;

/// The longest time for which a request may be held back, so that each wait has a limit that a client outlasts.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The units of a rate.
const UNITS: [(&str, Duration); 3] = [
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_secs(60)),
    ("h", Duration::from_secs(3600)),
];

/// The limits per client address of one route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestLimits {
    /// `request-rate`: requests in a time from one IPv4 address or one IPv6 /64, as `"10/s"`, `"30/m"` or `"100/h"`;
    /// beyond, 429. Default `None`: no limit.
    pub rate: Option<RequestRate>,
    /// `request-burst`: requests that an address may be ahead of that rate, 0 to 100,000. Default 0.
    pub burst: u32,
    /// `request-delay-after`: requests of the burst that pass at once; each further one is held back until the rate
    /// permits it. Default `None`: all of them pass at once.
    pub delay_after: Option<u32>,
    /// `requests-per-address`: requests in progress from one address, WebSockets included; beyond, 429. Default 0: no
    /// limit.
    pub per_address: usize,
    /// `limit-zone`: routes with the same text count together. Default `None`: each counts on its own.
    pub zone: Option<String>,
}

/// A number of requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    /// Number of requests, at least 1.
    pub requests: u32,
    /// A second, a minute or an hour.
    pub time: Duration,
}

impl RequestLimits {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let limits = Self {
            rate: table.text("request-rate", None, RequestRate::parse),
            burst: table.number("request-burst", 0, 0..=100_000),
            delay_after: read_delay_after(table),
            per_address: table.number("requests-per-address", 0, 0..=1_000_000),
            zone: table.text("limit-zone", None, |text| parse_zone(text).map(Some)),
        };
        if table.is_sound_so_far() {
            limits.check(table);
        }
        limits
    }

    /// Keys that another one of the route contradicts.
    fn check(&self, table: &Table<'_>) {
        let Some(rate) = self.rate else {
            for (key, is_set) in [
                ("request-burst", self.burst > 0),
                ("request-delay-after", self.delay_after.is_some()),
            ] {
                if is_set {
                    let text = "is about request-rate, which is missing; write one, such as \"10/s\", or take this \
                                out";
                    table.problem(key, text);
                }
            }
            if self.zone.is_some() && self.per_address == 0 {
                let text = "names a count, and nothing is counted; write request-rate or requests-per-address, or take \
                            this out";
                table.problem("limit-zone", text);
            }
            return;
        };
        let Some(delay_after) = self.delay_after else {
            return;
        };
        if delay_after > self.burst {
            let text = format!(
                "only {} are ahead of the rate at most (request-burst); write at most that, or take this out",
                self.burst
            );
            table.problem("request-delay-after", text);
        } else if rate.each() * (self.burst - delay_after) > LONGEST_DELAY {
            let most = LONGEST_DELAY.as_nanos() / rate.each().as_nanos().max(1);
            let text = format!(
                "the last request of a burst would be held back for {} s, and 60 are the most; write at least {}, or \
                 a smaller request-burst",
                (rate.each() * (self.burst - delay_after)).as_secs(),
                u128::from(self.burst).saturating_sub(most)
            );
            table.problem("request-delay-after", text);
        }
    }

    /// Checks that all routes of a zone have one rate, as the count is one.
    pub(super) fn check_zone(
        &self,
        rates: &mut HashMap<String, RequestRate>,
        table: &mut Table<'_>,
    ) {
        let (Some(zone), Some(rate)) = (&self.zone, self.rate) else {
            return;
        };
        let known = *rates.entry(zone.clone()).or_insert(rate);
        if known != rate {
            let text = format!(
                "the zone \"{zone}\" has the rate \"{known}\" above, and a zone has one; write that, or another \
                 limit-zone"
            );
            table.problem("request-rate", text);
        }
    }

    /// True if anything is limited.
    #[must_use]
    pub fn are_any(&self) -> bool {
        self.rate.is_some() || self.per_address > 0
    }
}

impl RequestRate {
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        if text == "off" {
            return Ok(None);
        }
        let expected = || {
            format!(
                "{text:?} is not a rate; write requests in a second, minute or hour, such as \"10/s\", \"30/m\" or \
                 \"100/h\", or \"off\""
            )
        };
        let (number, unit) = text.split_once('/').ok_or_else(expected)?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        let (true, Some((_, time))) = (is_number, unit) else {
            return Err(expected());
        };
        match number.parse() {
            Ok(0) => Err(
                r#"a rate of nothing lets nothing pass; write "off" for no limit, or refuse = ["*"] to close it"#
                    .to_owned(),
            ),
            Ok(requests @ 1..=1_000_000) => Ok(Some(Self {
                requests,
                time: *time,
            })),
            _ => Err(format!("{number} is out of range; write a number from 1 to 1000000")),
        }
    }

    /// Time that one request takes up.
    #[must_use]
    pub fn each(self) -> Duration {
        self.time / self.requests.max(1)
    }
}

impl fmt::Display for RequestRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, time)| *time == self.time);
        let unit = unit.map_or("s", |(name, _)| name);
        write!(f, "{}/{unit}", self.requests)
    }
}

fn read_delay_after(table: &mut Table<'_>) -> Option<u32> {
    let is_there = table.has("request-delay-after");
    let delay_after = table.number("request-delay-after", 0, 0..=100_000);
    is_there.then_some(delay_after)
}

/// Parses the name of a zone, which appears in messages.
fn parse_zone(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=64).contains(&text.len()) && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#"{text:?} is not a name; write 1 to 64 letters, digits, "-", "_" or ".", such as "login""#
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// The complaint about keys of an app, which begin on line 3.
    fn said(keys: &str) -> String {
        let text = format!("[[app]]\nurl = 'http://a'\n{keys}");
        let read = Config::parse(&text, "n");
        read.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn what_a_limit_cannot_mean_is_told_with_what_to_write() {
        for (keys, expected) in [
            (
                "request-rate = '10'",
                "n:3: app[0].request-rate: \"10\" is not a rate; write requests in a second, minute or hour, such as \
                 \"10/s\", \"30/m\" or \"100/h\", or \"off\"",
            ),
            ("request-rate = '10/d'", "is not a rate"),
            ("request-rate = '/s'", "is not a rate"),
            ("request-rate = '+1/s'", "is not a rate"),
            (
                "request-rate = 10",
                "expected a string, found the number 10: \"10\" is not a rate",
            ),
            (
                "request-rate = '0/s'",
                r#"a rate of nothing lets nothing pass; write "off" for no limit, or refuse = ["*"]"#,
            ),
            (
                "request-rate = '1000001/s'",
                "1000001 is out of range; write a number from 1 to 1000000",
            ),
            ("request-rate = '99999999999/s'", "out of range"),
            (
                "request-burst = 5",
                "n:3: app[0].request-burst: is about request-rate, which is missing",
            ),
            (
                "request-rate = 'off'\nrequest-delay-after = 0",
                "n:4: app[0].request-delay-after: is about request-rate",
            ),
            (
                "limit-zone = 'a'",
                "n:3: app[0].limit-zone: names a count, and nothing is counted",
            ),
            (
                "request-rate = '1/s'\nlimit-zone = 'a b'",
                r#""a b" is not a name"#,
            ),
            (
                "request-rate = '1/s'\nrequest-burst = 3\nrequest-delay-after = 4",
                "n:5: app[0].request-delay-after: only 3 are ahead of the rate at most (request-burst)",
            ),
            (
                "request-rate = '1/m'\nrequest-burst = 3\nrequest-delay-after = 1",
                "would be held back for 120 s, and 60 are the most; write at least 2, or a smaller request-burst",
            ),
            (
                "request-rate = '1/s'\nlimit-zone = 'a'\n[[files]]\npath = '/f'\ndirectory = '/f'\n\
                 request-rate = '2/s'\nlimit-zone = 'a'",
                r#"n:8: files[0].request-rate: the zone "a" has the rate "1/s" above, and a zone has one"#,
            ),
        ] {
            assert!(said(keys).contains(expected), "{keys}: {}", said(keys));
        }
        for keys in [
            "request-rate = 'off'\nrequest-burst = 0",
            "request-rate = '1/m'\nrequest-burst = 3\nrequest-delay-after = 2",
            "requests-per-address = 1\nlimit-zone = 'a'",
            "request-rate = '1000000/s'\nrequest-burst = 100000\nrequest-delay-after = 0",
        ] {
            assert_eq!(said(keys), "", "{keys}");
        }
    }
}
