//! Errors of setting up a cluster.

use std::path::Path;

use crate::text::Reason;

/// Reason why this node cannot join the cluster of its configuration.
#[derive(Debug, thiserror::Error)]
#[error("cluster: {0}")]
pub struct ClusterError(pub(super) Reason);

impl ClusterError {
    /// The file, if this user may not use it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        self.0.denied()
    }
}
