//! List of the apps of the configuration in force, for metrics and status.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::upstream::Upstream;

/// The apps, in the order of the configuration. Clones share the list, also after a reload.
#[derive(Clone, Debug, Default)]
pub struct Apps(Arc<ArcSwap<Vec<Arc<Upstream>>>>);

impl Apps {
    /// Replaces the list.
    pub fn replace(&self, apps: Vec<Arc<Upstream>>) {
        self.0.store(Arc::new(apps));
    }

    /// The current list.
    #[must_use]
    pub fn now(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.0.load_full()
    }
}
