//! Converts `limit_req` and `limit_conn` to limits per client address of an app or a directory. A limit with another
//! key is reported.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use noren::config::RequestRate;

use super::super::draft::quoted;
use super::report::Report;
use super::scope::Scope;
use super::syntax::Directive;

/// The longest delay of a request that Noren supports.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// The largest burst that Noren supports.
const LARGEST_BURST: u32 = 100_000;
/// The highest limit on requests in progress that Noren supports.
const MOST_IN_PROGRESS: u32 = 1_000_000;

const SEVERAL: &str = "a route has one request-rate and one requests-per-address, and nginx has several limits there: \
                       the strictest in the long run is taken";
const SHARED: &str = "nginx counts these together, and here requests in progress are counted together by limit-zone, \
                      which the rates have divided: an address may have more in all";

/// Variables that contain the address of a client.
const ADDRESSES: &[&str] = &["$binary_remote_addr", "$remote_addr"];
/// Variables that have the same value for all clients of a server.
const SAME_FOR_ALL: &[&str] = &[
    "$server_name",
    "$host",
    "$http_host",
    "$server_addr",
    "$server_port",
];

/// The zones of a file, and the routes that use them.
#[derive(Debug, Default)]
pub(super) struct Zones<'a> {
    all: BTreeMap<&'a str, &'a Directive>,
    /// Names of the zones in noren.toml, which are unique.
    names: BTreeMap<&'a str, String>,
    /// For each zone of `limit_conn`: a directive that uses it, and the zones of noren.toml that count its requests.
    divided: BTreeMap<&'a str, (&'a Directive, BTreeSet<String>)>,
}

/// A limit that can be carried over.
struct Found<'a> {
    at: &'a Directive,
    zone: &'a str,
    limit: Limit,
}

enum Limit {
    Rate(RequestRate),
    InProgress(u32),
}

impl<'a> Zones<'a> {
    /// Collects the zones of all blocks.
    pub(super) fn of(directives: &'a [Directive]) -> Self {
        let mut zones = Self::default();
        zones.collect(directives);
        zones
    }

    fn collect(&mut self, directives: &'a [Directive]) {
        for one in directives {
            match one.name() {
                "http" => self.collect(&one.block),
                "limit_req_zone" | "limit_conn_zone" => {
                    let named = one
                        .arguments()
                        .iter()
                        .find_map(|word| word.strip_prefix("zone="));
                    let name = named
                        .unwrap_or_default()
                        .split(':')
                        .next()
                        .unwrap_or_default();
                    self.all.insert(name, one);
                }
                _ => {}
            }
        }
    }

    /// Returns the keys for a location.
    pub(super) fn keys(
        &mut self,
        scope: &Scope<'a>,
        report: &mut Report,
    ) -> Vec<(&'static str, String)> {
        let mut keys = Vec::new();
        let rate = self.strictest(scope, "limit_req", report);
        let in_progress = self.strictest(scope, "limit_conn", report);
        let zone = rate
            .as_ref()
            .or(in_progress.as_ref())
            .map(|found| found.zone);
        let Some(zone) = zone.map(|zone| self.name(zone)) else {
            return keys;
        };
        if let Some(Found {
            at,
            limit: Limit::Rate(rate),
            ..
        }) = rate
        {
            keys.extend(rate_keys(at, rate, report));
        }
        if let Some(Found {
            at,
            zone: of_nginx,
            limit: Limit::InProgress(most),
        }) = in_progress
        {
            keys.push(("requests-per-address", most.to_string()));
            let (_, zones) = self
                .divided
                .entry(of_nginx)
                .or_insert_with(|| (at, BTreeSet::new()));
            zones.insert(zone.clone());
        }
        keys.push(("limit-zone", quoted(&zone)));
        keys
    }

    /// Reports limits that count requests together in nginx, but separately in Noren.
    pub(super) fn finish(&self, report: &mut Report) {
        for (at, zones) in self.divided.values() {
            if zones.len() > 1 {
                report.leave_out(at, SHARED);
            }
        }
    }

    /// Returns the strictest of the limits of one kind that apply to a location.
    fn strictest(
        &self,
        scope: &Scope<'a>,
        name: &'static str,
        report: &mut Report,
    ) -> Option<Found<'a>> {
        let only_logs = scope.nearest(if name == "limit_req" {
            "limit_req_dry_run"
        } else {
            "limit_conn_dry_run"
        });
        let mut all = Vec::new();
        for at in scope.nearest_all(name) {
            if let Some(dry) = only_logs.filter(|dry| dry.argument(0) == "on") {
                report.carry(dry);
                report.leave_out(
                    at,
                    "nginx only logs what is beyond this limit: it is not carried over",
                );
                continue;
            }
            match self.limit(at) {
                Ok(found) => all.push(found),
                Err(why) => {
                    report.leave_out(at, &why);
                    if let Some(zone) = self.all.get(zone_of(at)) {
                        report.carry(zone);
                    }
                }
            }
        }
        all.sort_by_key(|found| match found.limit {
            Limit::Rate(rate) => std::cmp::Reverse(rate.each()),
            Limit::InProgress(most) => {
                std::cmp::Reverse(Duration::from_secs(u64::from(u32::MAX - most)))
            }
        });
        let mut all = all.into_iter();
        let first = all.next()?;
        report.carry(first.at);
        if let Some(zone) = self.all.get(first.zone) {
            report.carry(zone);
        }
        for other in all {
            report.leave_out(other.at, SEVERAL);
        }
        Some(first)
    }

    /// Parses one limit. The error is the reason why it is not carried over.
    fn limit(&self, at: &'a Directive) -> Result<Found<'a>, String> {
        let is_rate = at.name() == "limit_req";
        let zone = zone_of(at);
        let key = if is_rate {
            r#"request-rate = "10/s""#
        } else {
            "requests-per-address"
        };
        let Some(defined) = self.all.get(zone) else {
            return Err(format!(
                "its zone {zone} is not in this file: write {key} into the [[app]], as the zone says"
            ));
        };
        counts_addresses(defined)
            .map_err(|why| format!("{}:{}: {why}", defined.file, defined.line))?;
        let limit = if is_rate {
            let rate = defined
                .arguments()
                .iter()
                .find_map(|word| word.strip_prefix("rate="));
            let rate = rate
                .and_then(of_nginx)
                .ok_or("its zone has no rate that can be read")?;
            Limit::Rate(rate)
        } else {
            let most = at.argument(1).parse().ok();
            let most = most.filter(|most| (1..=MOST_IN_PROGRESS).contains(most));
            Limit::InProgress(most.ok_or("its number cannot be read")?)
        };
        Ok(Found { at, zone, limit })
    }

    /// Returns the name in noren.toml for a zone of nginx.
    fn name(&mut self, zone: &'a str) -> String {
        if let Some(known) = self.names.get(zone) {
            return known.clone();
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let plain = |c: char| if is_plain(c) { c } else { '-' };
        let mut name: String = zone.chars().map(plain).take(60).collect();
        if self.names.values().any(|known| *known == name) {
            name = format!("{name}-{}", self.names.len());
        }
        self.names.insert(zone, name.clone());
        name
    }
}

/// Returns the name of the zone in which a limit counts.
fn zone_of(at: &Directive) -> &str {
    let named = at
        .arguments()
        .iter()
        .find_map(|word| word.strip_prefix("zone="));
    if at.name() == "limit_req" {
        named.unwrap_or_default()
    } else {
        at.argument(0)
    }
}

/// Returns the keys for a rate with its burst.
fn rate_keys(
    at: &Directive,
    rate: RequestRate,
    report: &mut Report,
) -> Vec<(&'static str, String)> {
    let number = |key: &str| {
        let found = at
            .arguments()
            .iter()
            .find_map(|word| word.strip_prefix(key));
        found.and_then(|text| text.parse::<u32>().ok())
    };
    let mut keys = vec![("request-rate", quoted(&rate.to_string()))];
    let mut burst = number("burst=").unwrap_or_default().min(LARGEST_BURST);
    let at_once = if at.has("nodelay") {
        burst
    } else {
        number("delay=").unwrap_or_default().min(burst)
    };
    let fits = LONGEST_DELAY.as_nanos() / rate.each().as_nanos().max(1);
    let fits = at_once.saturating_add(u32::try_from(fits).unwrap_or(u32::MAX));
    if burst > fits {
        burst = fits;
        let why = format!(
            "nginx holds some of these requests back for more than a minute, which no client waits for here: the burst \
             is {burst}; with nodelay all of it would pass at once"
        );
        report.leave_out(at, &why);
    }
    if burst > 0 {
        keys.push(("request-burst", burst.to_string()));
    }
    if at_once < burst {
        keys.push(("request-delay-after", at_once.to_string()));
    }
    keys
}

/// Parses a rate of nginx, such as `10r/s` or `30r/m`.
fn of_nginx(text: &str) -> Option<RequestRate> {
    let (number, unit) = text.split_once("r/")?;
    let requests = number
        .parse()
        .ok()
        .filter(|number| (1..=1_000_000).contains(number))?;
    let time = match unit {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        _ => return None,
    };
    Some(RequestRate { requests, time })
}

/// Checks that a zone counts each address separately. The error says by what it counts, and what replaces it.
fn counts_addresses(zone: &Directive) -> Result<(), String> {
    let key = zone.argument(0);
    if ADDRESSES.contains(&key) {
        return Ok(());
    }
    let instead = if SAME_FOR_ALL.contains(&key) || !key.contains('$') {
        "for all clients together; here `workers` and `queue` of an [[app]] bound those"
    } else if key.starts_with("$http_x_forwarded") || key.starts_with("$http_x_real") {
        "by an address that a header says; write trusted-proxies into the [[listener]], and this limit into the [[app]]"
    } else if ADDRESSES.iter().any(|address| key.contains(address)) {
        "by more than the address; here an address counts for all of a route, which would be stricter"
    } else {
        "by something else than the client's address, which is all that counts here"
    };
    Err(format!("`{key}` counts {instead}"))
}
