//! Why the parts of a configuration cannot be built on this machine.

use crate::access::UsersError;
use crate::jwt::KeyError;
use crate::target::{LinksError, TargetError};
use crate::tls::TlsError;

/// What a file that the configuration names is wrong with.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A certificate, a key or an authority.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file of users.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The keys of signed links, or the store of used ones.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// The keys of tokens for channels.
    #[error(transparent)]
    Tokens(#[from] KeyError),
}

impl From<TargetError> for BuildError {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Tls(error) => error.into(),
            TargetError::Links(error) => error.into(),
        }
    }
}
