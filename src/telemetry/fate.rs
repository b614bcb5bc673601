//! What ended a connection, so that the line of a request that was under way can say it.

use std::sync::{Arc, OnceLock};

/// The end of one connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Fate(Arc<OnceLock<&'static str>>);

impl Fate {
    /// This ends it; what was said first counts.
    pub fn is(&self, cause: &'static str) {
        let _ = self.0.set(cause);
    }

    /// What has ended it.
    #[must_use]
    pub fn told(&self) -> Option<&'static str> {
        self.0.get().copied()
    }
}
