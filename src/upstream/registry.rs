//! The apps of the configuration in force. Must not know how requests reach them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::info;

use crate::upstream::{LiveApp, Upstream};

/// The apps, in the order of the configuration. Clones share the list, also after a reload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Apps(Arc<ArcSwap<Vec<Arc<Upstream>>>>);

impl Apps {
    /// Replaces the current apps by others.
    pub(crate) fn replace(&self, apps: Vec<Arc<Upstream>>) {
        for app in &apps {
            app.put_in_force();
        }
        self.0.store(Arc::new(apps));
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

    /// The addresses that an operator drains, each with the name of its app.
    #[must_use]
    pub(crate) fn drained(&self) -> Vec<(String, String)> {
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
        self.0.load_full()
    }
}
