//! The error of a configuration that cannot be put in force on this machine, at a start and at a reload.

use std::path::Path;

use crate::access::UsersError;
use crate::cluster::ClusterError;
use crate::faults::Faults;
use crate::hub::HubError;
use crate::jwt::KeyError;
use crate::net::BindError;
use crate::sources::SourceError;
use crate::tls::TlsError;
use crate::tokens::{LinksError, TargetError};

/// Reason why a configuration cannot be put in force. The configuration is valid, but a file, an address or the running
/// server prevents it.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] BindError),
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
    /// The hub cannot be created, or cannot take the change.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// This node cannot join its cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A source of a channel cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A reload changes these settings, which require a restart.
    #[error("{0} cannot be changed by a reload; restart Noren for that")]
    NeedsRestart(String),
    /// All faults of the files together.
    #[error(transparent)]
    Several(#[from] Faults<SetupError>),
}

impl SetupError {
    /// The file that this user may not use, if that is the only fault.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        match self {
            Self::Listen(error) => error.denied(),
            Self::Tls(error) => error.denied(),
            Self::Users(error) => error.denied(),
            Self::Links(error) => error.denied(),
            Self::Tokens(error) => error.denied(),
            Self::Hub(error) => error.denied(),
            Self::Cluster(error) => error.denied(),
            Self::Source(error) => error.denied(),
            Self::NeedsRestart(_) | Self::Several(_) => None,
        }
    }

    /// True for a fault that may end by itself, such as a port that is in use.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Listen(_) | Self::Source(_))
    }
}

impl From<TargetError> for SetupError {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Tls(error) => error.into(),
            TargetError::Links(error) => error.into(),
        }
    }
}
