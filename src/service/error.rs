//! Errors in the parts of a configuration that depend on files of this machine.

use crate::access::UsersError;
use crate::jwt::KeyError;
use crate::tls::TlsError;
use crate::tokens::{LinksError, TargetError};

/// Fault of a file that the configuration names.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A certificate, a key or an authority cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file of users cannot be used.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The keys of signed links, or the store of used ones, cannot be used.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// The keys of tokens for channels cannot be used.
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
