//! Metrics of the addresses of apps, set when they are read.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::labels::AddressLabel;

/// The handles of addresses.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    up: Family<AddressLabel, Gauge>,
    drained: Family<AddressLabel, Gauge>,
    busy: Family<AddressLabel, Gauge>,
    tunnels: Family<AddressLabel, Gauge>,
    failures: Family<AddressLabel, Counter>,
}

/// State of one address.
#[derive(Clone, Copy, Debug)]
pub struct AddressState {
    /// True if it gets requests.
    pub is_open: bool,
    /// True if an operator drains it.
    pub is_drained: bool,
    /// Number of workers that handle a request.
    pub busy: usize,
    /// Number of open WebSockets of the app.
    pub tunnels: usize,
    /// Number of times it was taken out because it could not be connected to, or was silent.
    pub failures: usize,
}

impl Addresses {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register(
            "app_address_up",
            "1 if the address of the app gets requests",
            own.up.clone(),
        );
        registry.register(
            "app_address_drained",
            "1 if an operator drains the address",
            own.drained.clone(),
        );
        registry.register(
            "app_address_workers_busy",
            "Workers of the address busy with a request now",
            own.busy.clone(),
        );
        registry.register(
            "app_address_tunnels",
            "Open WebSockets of the app at the address",
            own.tunnels.clone(),
        );
        registry.register(
            "app_address_failures",
            "Times the address was out of use because it could not be connected to or was silent",
            own.failures.clone(),
        );
        own
    }

    /// Removes all addresses, because a reload may have removed some.
    pub fn clear(&self) {
        self.up.clear();
        self.drained.clear();
        self.busy.clear();
        self.tunnels.clear();
        self.failures.clear();
    }

    /// Sets all values of one address.
    pub fn set(&self, label: &AddressLabel, state: AddressState) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.up.get_or_create(label).set(i64::from(state.is_open));
        self.drained
            .get_or_create(label)
            .set(i64::from(state.is_drained));
        self.busy.get_or_create(label).set(count(state.busy));
        self.tunnels.get_or_create(label).set(count(state.tunnels));
        // Counted by the address itself; here its count is only shown.
        self.failures
            .get_or_create(label)
            .inner()
            .store(state.failures as u64, std::sync::atomic::Ordering::Relaxed);
    }
}
