//! The apps of the configuration in force. Must not know how requests reach them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tracing::info;

use crate::sync::lock;
use crate::upstream::{DrainError, LiveApp, Upstream};

/// The apps, in the order of the configuration. Clones share the list, also after a reload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Apps(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    apps: ArcSwap<Vec<Arc<Upstream>>>,
    /// Held by an order to drain, and by a reload: each sees all of the other, so one address stays in use.
    orders: Mutex<Orders>,
}

#[derive(Debug, Default)]
struct Orders {
    /// True once the drained addresses were handed to another process, which would not learn of a further order.
    are_handed_over: bool,
}

impl Apps {
    /// Replaces the current apps by others.
    pub(crate) fn replace(&self, apps: Vec<Arc<Upstream>>) {
        let _turn = lock(&self.0.orders);
        for app in &apps {
            app.put_in_force();
        }
        self.0.apps.store(Arc::new(apps));
    }

    /// The permits and addresses of the current apps, by their names.
    #[must_use]
    pub(crate) fn live(&self) -> HashMap<String, Arc<LiveApp>> {
        let apps = self.now();
        let by_name = apps
            .iter()
            .map(|app| (app.settings.name.clone(), Arc::clone(&app.live)));
        by_name.collect()
    }

    /// Drains an address of an app, or ends that; returns the address as the status shows it, and a sentence about the
    /// result.
    ///
    /// # Errors
    /// [`DrainError`] says why nothing was changed.
    pub(crate) fn order(
        &self,
        name: &str,
        address: &str,
        drains: bool,
    ) -> Result<(String, String), DrainError> {
        let orders = lock(&self.0.orders);
        if orders.are_handed_over {
            return Err(DrainError::Moving);
        }
        let apps = self.now();
        let found = apps.iter().find(|one| one.settings().name == name);
        let app = found.ok_or_else(|| {
            let known: Vec<_> = apps.iter().map(|one| &*one.settings().name).collect();
            DrainError::NoApp {
                app: name.to_owned(),
                known: if known.is_empty() {
                    "the configuration has no [[app]]".to_owned()
                } else {
                    format!("there is {}", known.join(", "))
                },
            }
        })?;
        app.drain(address, drains)
    }

    /// The addresses that an operator drains, each with the name of its app, for the process that takes over. Further
    /// orders are refused until [`keep_orders`](Self::keep_orders).
    #[must_use]
    pub(crate) fn hand_over(&self) -> Vec<(String, String)> {
        lock(&self.0.orders).are_handed_over = true;
        let apps = self.now();
        let of_app = |app: &Arc<Upstream>| {
            let name = app.settings().name.clone();
            let drained = app.addresses().into_iter().filter(|one| one.is_drained);
            drained
                .map(|one| (name.clone(), one.url.to_string()))
                .collect::<Vec<_>>()
        };
        apps.iter().flat_map(of_app).collect()
    }

    /// Takes orders again after a hand-over that failed.
    pub(crate) fn keep_orders(&self) {
        lock(&self.0.orders).are_handed_over = false;
    }

    /// Drains these addresses, if they are in the configuration.
    pub(crate) fn drain(&self, addresses: &[(String, String)]) {
        let apps = self.now();
        for (name, address) in addresses {
            if let Some(app) = apps.iter().find(|app| app.settings().name == *name)
                && let Err(error) = app.drain(address, true)
            {
                info!(%error, "an address that was drained before the hand-over is used again");
            }
        }
    }

    /// The current list.
    #[must_use]
    pub(crate) fn now(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.0.apps.load_full()
    }
}
