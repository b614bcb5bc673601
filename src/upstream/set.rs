//! The apps of the configuration in force, for those who look at them all.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::upstream::Upstream;

/// The apps, in the order of the configuration. Clones show the same ones, also after a reload.
#[derive(Clone, Debug, Default)]
pub struct Apps(Arc<ArcSwap<Vec<Arc<Upstream>>>>);

impl Apps {
    /// Shows these from now on.
    pub fn replace(&self, apps: Vec<Arc<Upstream>>) {
        self.0.store(Arc::new(apps));
    }

    /// Those that requests go to now.
    #[must_use]
    pub fn now(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.0.load_full()
    }
}
