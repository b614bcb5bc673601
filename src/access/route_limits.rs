//! Limits per client address of each app and directory: on the rate of requests, and on requests in progress. Routes of
//! one zone have common counts.
//!
//! Independent of the request, and of how a refusal is sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::access::limits::{Limit, TooMany};
use crate::config::{App, Config, Files, RequestLimits, RequestRate};
use crate::net::{AddressLimit, AddressPermit, Peer};
use crate::sync::lock;

/// Counts of clients in each zone, and for each route without a zone. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteCounts(Arc<Mutex<HashMap<String, Zone>>>);

/// The limits of all routes.
#[derive(Debug)]
pub(crate) struct RouteLimits {
    apps: Vec<Option<RouteLimit>>,
    files: Vec<Option<RouteLimit>>,
}

/// The common counts of some routes, by the name of their zone or of the only route.
#[derive(Clone, Debug)]
struct Zone {
    rate: Limit,
    in_progress: AddressLimit,
}

/// The limits of one route.
#[derive(Debug)]
pub(crate) struct RouteLimit {
    rate: Option<Limit>,
    /// Time by which a request may be ahead of the rate without being delayed.
    at_once: Duration,
    in_progress: AddressLimit,
    /// Limit on requests in progress; 0 means no limit.
    most: usize,
}

/// The reason why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// The address has made too many requests; the value is the time after which it may try again.
    Rate(TooMany),
    /// The limit on requests of one address in progress is reached.
    InProgress,
}

impl RouteLimits {
    /// Creates the limits of a configuration over these counts; removes counts that no route uses any more.
    #[must_use]
    pub(crate) fn new(config: &Config, counts: &RouteCounts) -> Self {
        let mut known = lock(&counts.0);
        let mut zones = HashMap::new();
        let mut limit = |limits: &RequestLimits, own: &dyn Fn() -> String| {
            if !limits.are_any() {
                return None;
            }
            let zone = limits.zone.as_ref();
            let name = zone.map_or_else(own, |zone| format!("zone {zone}"));
            let before = known.get(&name).cloned();
            let zone = zones.entry(name).or_insert(before.unwrap_or_default());
            Some(RouteLimit::new(limits, zone))
        };
        let app = |app: &App| limit(&app.request_limits, &|| format!("app {}", app.name));
        let apps = config.apps.iter().map(app).collect();
        let files = |files: &Files| {
            let own = || format!("files {} {:?}", files.path, files.hosts);
            limit(&files.request_limits, &own)
        };
        let files = config.files.iter().map(files).collect();
        *known = zones;
        Self { apps, files }
    }

    /// Limits of an app, by its index.
    #[must_use]
    pub(crate) fn of_app(&self, index: usize) -> Option<&RouteLimit> {
        self.apps.get(index)?.as_ref()
    }

    /// Limits of a directory, by its index.
    #[must_use]
    pub(crate) fn of_files(&self, index: usize) -> Option<&RouteLimit> {
        self.files.get(index)?.as_ref()
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            rate: Limit::unlimited(),
            in_progress: AddressLimit::new(0),
        }
    }
}

impl RouteLimit {
    fn new(limits: &RequestLimits, zone: &Zone) -> Self {
        let each = limits.rate.map(RequestRate::each);
        let at_once = limits.delay_after.unwrap_or(limits.burst);
        Self {
            rate: each.map(|each| zone.rate.with_burst(each, limits.burst)),
            at_once: each.unwrap_or_default() * at_once,
            in_progress: zone.in_progress.clone(),
            most: limits.per_address,
        }
    }

    /// Takes the permit of a request, to be held until the request ends; `None` if there is no limit.
    ///
    /// # Errors
    /// [`Exceeded::InProgress`] if its address is at the limit.
    pub(crate) fn hold(&self, peer: Peer) -> Result<Option<AddressPermit>, Exceeded> {
        let permit = self.in_progress.take_of(&peer, self.most);
        permit.ok_or(Exceeded::InProgress)
    }

    /// Counts a request, and returns the time by which it has to be delayed.
    ///
    /// # Errors
    /// [`Exceeded::Rate`] if the limit is reached; the request is not counted then.
    pub(crate) fn take_turn(&self, peer: Peer) -> Result<Duration, Exceeded> {
        let Some(rate) = &self.rate else {
            return Ok(Duration::ZERO);
        };
        let early = rate.take(peer).map_err(Exceeded::Rate)?;
        Ok(early.saturating_sub(self.at_once))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(keys: &str) -> RouteLimits {
        let text = format!("[[app]]\nurl = 'http://127.0.0.1:1'\n{keys}");
        let config = Config::parse(&text, "t.toml").expect("a valid text");
        RouteLimits::new(&config, &RouteCounts::default())
    }

    fn peer(address: &str) -> Peer {
        Peer::tcp(address.parse().expect("an address"))
    }

    #[test]
    fn a_burst_passes_at_once_then_late_and_then_not_at_all() {
        let limits = limits("request-rate = '6/m'\nrequest-burst = 4\nrequest-delay-after = 2");
        let app = limits.of_app(0).expect("limits");
        let one = peer("192.0.2.1:1");
        let delays: Vec<u128> = (0..5)
            .map(|_| app.take_turn(one).expect("a turn"))
            // Some time has passed since the first.
            .map(|delay| delay.as_millis().div_ceil(1000))
            .collect();
        assert_eq!(delays, [0, 0, 0, 10, 20]);
        let refused = app.take_turn(one).expect_err("no turn is left");
        assert!(matches!(refused, Exceeded::Rate(TooMany(wait)) if wait.as_secs() == 9));
        assert!(
            app.take_turn(peer("192.0.2.2:1")).is_ok(),
            "others have their own"
        );
        assert!(app.take_turn(Peer::Unix).is_ok(), "it has no address");
    }

    #[test]
    fn a_request_in_progress_holds_its_permit_until_it_is_over() {
        let limits = limits("requests-per-address = 1");
        let app = limits.of_app(0).expect("limits");
        let one = peer("[2001:db8::1]:1");
        let first = app.hold(one).expect("a permit");
        let other = peer("[2001:db8::2]:1");
        assert_eq!(app.hold(other).err(), Some(Exceeded::InProgress));
        drop(first);
        assert!(app.hold(other).is_ok());
    }

    #[test]
    fn routes_of_one_zone_count_together_and_go_on_after_a_reload() {
        let keys = "request-rate = '1/h'\nlimit-zone = 'z'\n[[files]]\npath = '/f'\ndirectory = '/srv'\n\
                    request-rate = '1/h'\nlimit-zone = 'z'\n[[files]]\npath = '/g'\ndirectory = '/srv'\n\
                    request-rate = '1/h'\n";
        let text = format!("[[app]]\nurl = 'http://127.0.0.1:1'\n{keys}");
        let config = Config::parse(&text, "t.toml").expect("a valid text");
        let counts = RouteCounts::default();
        let first = RouteLimits::new(&config, &counts);
        let one = peer("192.0.2.1:1");
        assert!(first.of_app(0).expect("limits").take_turn(one).is_ok());
        for limits in [&first, &RouteLimits::new(&config, &counts)] {
            let zone = limits.of_files(0).expect("limits");
            assert!(zone.take_turn(one).is_err());
        }
        assert!(first.of_files(1).expect("limits").take_turn(one).is_ok());
        let same = RouteLimits::new(&config, &counts);
        assert!(same.of_files(1).expect("limits").take_turn(one).is_err());
        // What has no route any more is forgotten.
        let none = Config::parse("[[app]]\nurl = 'http://127.0.0.1:1'", "t.toml");
        let _ = RouteLimits::new(&none.expect("a valid text"), &counts);
        let again = RouteLimits::new(&config, &counts);
        assert!(again.of_files(1).expect("limits").take_turn(one).is_ok());
    }
}
