//! Violations of the protocol by either end. Does not know what becomes of the connection.

use std::io;

/// A violation of the protocol, or of what a viewer may do; it comes inside of an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ProtocolError {
    /// True if it was the client, and not the host.
    pub by_client: bool,
    /// Description, for the log and the close frame.
    pub reason: &'static str,
}

impl ProtocolError {
    pub(super) fn client(reason: &'static str) -> Self {
        Self {
            by_client: true,
            reason,
        }
    }

    pub(super) fn host(reason: &'static str) -> Self {
        Self {
            by_client: false,
            reason,
        }
    }
}

impl From<ProtocolError> for io::Error {
    fn from(error: ProtocolError) -> Self {
        Self::other(error)
    }
}
