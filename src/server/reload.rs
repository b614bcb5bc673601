//! Replacing the configuration of a running server.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::info;

use crate::access::UsersError;
use crate::acme::Keeper;
use crate::admin::Admin;
use crate::config::{Acme, Config};
use crate::hub::{HubError, HubPlan, SourceError, Sources, SourcesPlan};
use crate::jwt::KeyError;
use crate::net::{Listener, Slots};
use crate::server::{Plan, Server, State, descriptors};
use crate::service::{BuildError, Surroundings};
use crate::target::LinksError;
use crate::telemetry;
use crate::tls::{Acceptor, TlsError};
use crate::upstream::Apps;

/// Reaches into a running server. Clones reach the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) state: Arc<ArcSwap<State>>,
    pub(super) around: Surroundings,
    pub(super) sources: Sources,
    slots: Slots,
    apps: Apps,
    acme: Keeper,
    /// Those that are still open.
    pub(super) listeners: Vec<Weak<Listener>>,
    /// One change at a time.
    pub(super) turn: Arc<Mutex<()>>,
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
    /// The keys of tokens for channels.
    #[error(transparent)]
    Tokens(#[from] KeyError),
    /// The hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A source of a channel.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What only a restart can change.
    #[error("{0} cannot be changed by a reload; restart Noren for that")]
    NeedsRestart(String),
}

impl From<BuildError> for ReloadError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Tls(error) => Self::Tls(error),
            BuildError::Users(error) => Self::Users(error),
            BuildError::Links(error) => Self::Links(error),
            BuildError::Tokens(error) => Self::Tokens(error),
        }
    }
}

impl Handle {
    pub(super) fn new(server: &Server) -> Self {
        let admin = server.admin.iter().flat_map(Admin::listeners);
        let listeners = server.listeners.iter().map(|(listener, ..)| listener);
        Self {
            state: Arc::clone(&server.state),
            around: server.around.clone(),
            sources: server.sources.clone(),
            slots: server.slots.clone(),
            apps: server.apps.clone(),
            acme: server.acme.clone(),
            listeners: listeners.chain(admin).map(Arc::downgrade).collect(),
            turn: Arc::clone(&server.turn),
        }
    }

    /// Takes another configuration for all requests that come from now on, on connections that are open too.
    /// What is under way goes on as it began; tunnels and subscribers are not touched, and the limits of a
    /// connection are those of the time it was opened.
    ///
    /// # Errors
    /// [`ReloadError`] says why nothing was changed.
    pub fn reload(&self, mut config: Config) -> Result<(), ReloadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.state.load();
        let fixed = only_at_the_start(&now.config, &config);
        if !fixed.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed.join(", ")));
        }
        descriptors::provide(&mut config);
        let plan = Plan::new(config, &self.around)?;
        let hub = self.around.hub.plan(&plan.config)?;
        // Last, so that no program connects to a socket that only a refused file has.
        let sources = self.sources.plan(&plan.config)?;
        self.commit(plan, hub, sources, &now);
        info!("configuration reloaded");
        Ok(())
    }

    /// Puts a configuration in force. Nothing else of a reload changes what serves, and nothing here can fail.
    fn commit(&self, plan: Plan, hub: HubPlan, sources: SourcesPlan, now: &State) {
        let state = plan.commit(&self.around, Some(now));
        self.around.hub.commit(hub);
        self.sources.commit(sources);
        let limits = &state.config.limits;
        self.slots
            .change(limits.connections, limits.connections_per_address);
        self.apps.replace(state.service.apps().to_vec());
        state.show_certificates();
        telemetry::set_level(state.config.log.level);
        self.state.store(Arc::new(state));
        self.acme.reloaded();
    }

    /// Loads the certificates again if their files are others than those that were loaded, and says whether there
    /// are new ones. Blocks on files.
    ///
    /// # Errors
    /// [`TlsError`]: the files are not right, or not yet; those loaded before stay in use.
    pub(super) fn renew(&self) -> Result<bool, TlsError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.state.load();
        let mut acceptors = now.acceptors.iter().flatten();
        if !acceptors.any(Acceptor::is_outdated) {
            return Ok(false);
        }
        let state = State {
            config: now.config.clone(),
            service: Arc::clone(&now.service),
            acceptors: Acceptor::of_listeners(&now.config, &self.around.challenges)?,
            inside: Arc::clone(&now.inside),
        };
        state.show_certificates();
        let acceptor = state.acceptors.iter().flatten().next();
        state.service.hosts().certified_by(acceptor);
        self.state.store(Arc::new(state));
        Ok(true)
    }

    /// Passes through the threads that serve and the locks that every message needs, and returns. A process in
    /// which this does not return serves nobody.
    pub async fn pulse(&self) {
        let (done, passed) = tokio::sync::oneshot::channel();
        let (hub, state) = (self.around.hub.clone(), Arc::clone(&self.state));
        self.around.shutdown.spawn_keeper(async move {
            hub.touch();
            let _ = done.send(Arc::clone(&state.load().service));
        });
        let _ = passed.await;
    }

    /// How long tunnels may go on after another process has taken over; none is until they end.
    #[must_use]
    pub fn handover_limit(&self) -> Option<Duration> {
        self.state.load().config.server.handover
    }

    /// Which certificates an authority is to give.
    pub(super) fn acme(&self) -> Option<Acme> {
        self.state.load().config.acme.clone()
    }

    /// How often the files of the certificates are looked at; none is never.
    pub(super) fn look_every(&self) -> Option<Duration> {
        self.state.load().config.tls.watch
    }
}

/// What differs between two configurations that only a restart can change.
fn only_at_the_start(now: &Config, next: &Config) -> Vec<&'static str> {
    let differs = [
        ("[[listener]]", now.listeners != next.listeners),
        ("server.threads", now.server.threads != next.server.threads),
        ("log.format", now.log.format != next.log.format),
        ("log.audit", now.log.audit != next.log.audit),
        ("[cluster]", now.cluster != next.cluster),
        ("[admin]", now.admin != next.admin),
    ];
    let named = differs.into_iter().filter(|(_, differs)| *differs);
    named.map(|(name, _)| name).collect()
}
