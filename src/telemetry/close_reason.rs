//! The close reason of a connection, for the access lines of its requests.

use std::sync::{Arc, OnceLock};

/// The close reason of one connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct CloseReason(Arc<OnceLock<&'static str>>);

impl CloseReason {
    /// Sets the reason; the first call counts.
    pub fn is(&self, cause: &'static str) {
        let _ = self.0.set(cause);
    }

    /// The reason, once it is set.
    #[must_use]
    pub fn get(&self) -> Option<&'static str> {
        self.0.get().copied()
    }
}
