//! Replacing the configuration of a running server.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::info;

use crate::access::UsersError;
use crate::config::Config;
use crate::hub::{Hub, HubError, SockJs, SourceError, Sources};
use crate::server::State;
use crate::service::BuildError;
use crate::shutdown::Shutdown;
use crate::target::LinksError;
use crate::tls::TlsError;
use crate::upstream::Apps;

/// Reaches into a running server. Clones reach the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    state: Arc<ArcSwap<State>>,
    hub: Hub,
    sources: Sources,
    sockjs: SockJs,
    apps: Apps,
    shutdown: Shutdown,
}

/// Why a configuration was not taken; the one before it stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file of users.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The keys of signed links, or the store of used ones.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// The hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A source of a channel.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What only a restart can change.
    #[error("{0} cannot be changed by a reload; restart Noren for that")]
    NeedsRestart(&'static str),
}

impl From<BuildError> for ReloadError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Tls(error) => Self::Tls(error),
            BuildError::Users(error) => Self::Users(error),
            BuildError::Links(error) => Self::Links(error),
        }
    }
}

impl Handle {
    pub(super) fn new(
        state: Arc<ArcSwap<State>>,
        hub: Hub,
        sources: Sources,
        sockjs: SockJs,
        apps: Apps,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            state,
            hub,
            sources,
            sockjs,
            apps,
            shutdown,
        }
    }

    /// Takes another configuration, for all connections accepted from now on; those that are open keep the
    /// one they began with, and tunnels are not touched.
    ///
    /// # Errors
    /// [`ReloadError`] says why nothing was changed.
    pub fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let now = self.state.load();
        if config.listeners != now.config.listeners {
            return Err(ReloadError::NeedsRestart("[[listener]]"));
        }
        if config.server.threads != now.config.server.threads {
            return Err(ReloadError::NeedsRestart("server.threads"));
        }
        if config.limits.connections != now.config.limits.connections
            || config.limits.connections_per_address != now.config.limits.connections_per_address
        {
            return Err(ReloadError::NeedsRestart(
                "limits.connections and limits.connections-per-address",
            ));
        }
        if config.log != now.config.log {
            return Err(ReloadError::NeedsRestart("[log]"));
        }
        if config.admin != now.config.admin {
            return Err(ReloadError::NeedsRestart("[admin]"));
        }
        let state = State::build(
            config,
            &self.hub,
            &self.sockjs,
            Some(&now),
            &now.inside,
            &self.shutdown,
        )?;
        let opened = self.sources.open(&state.config)?;
        self.hub.reload(&state.config)?;
        self.sources.take(opened);
        self.apps.replace(state.service.apps().to_vec());
        state.show_certificates();
        self.state.store(Arc::new(state));
        info!("configuration reloaded");
        Ok(())
    }
}
