//! Errors in the parts of a configuration that depend on files of this machine.

use std::path::Path;

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

impl BuildError {
    /// The file, if this user may not use it and that is all that is wrong.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        match self {
            Self::Tls(error) => error.denied(),
            Self::Users(error) => error.denied(),
            Self::Links(error) => error.denied(),
            Self::Tokens(error) => error.denied(),
        }
    }
}

impl From<TargetError> for BuildError {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Tls(error) => error.into(),
            TargetError::Links(error) => error.into(),
        }
    }
}
