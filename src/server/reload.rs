//! Reload: replaces the configuration of a running server.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::info;

use crate::acme::Renewer;
use crate::admin::Admin;
use crate::config::{Acme, Config};
use crate::hub::HubPlan;
use crate::net::Listener;
use crate::server::{Findings, Plan, Server, State};
use crate::service::{Live, SetupError};
use crate::sources::{Sources, SourcesPlan};
use crate::sync::lock;
use crate::telemetry;
use crate::tls::{Acceptor, Acceptors, TlsError};

/// A handle to a running server. Clones refer to the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) state: Arc<ArcSwap<State>>,
    pub(super) live: Live,
    pub(super) sources: Sources,
    acme: Renewer,
    /// The listeners that are still open.
    pub(super) listeners: Vec<Weak<Listener>>,
    /// Serialises changes.
    pub(super) turn: Arc<Mutex<()>>,
}

impl Handle {
    pub(super) fn new(server: &Server) -> Self {
        let admin = server.admin.iter().flat_map(Admin::listeners);
        let listeners = server.listeners.iter().map(|(listener, ..)| listener);
        Self {
            state: Arc::clone(&server.state),
            live: server.live.clone(),
            sources: server.sources.clone(),
            acme: server.acme.clone(),
            listeners: listeners.chain(admin).map(Arc::downgrade).collect(),
            turn: Arc::clone(&server.turn),
        }
    }

    /// Puts another configuration in force for all further requests, also on open connections. Requests in progress are
    /// not affected; tunnels and subscribers stay, and a connection keeps the limits with which it was opened.
    ///
    /// # Errors
    /// [`SetupError`] gives the reason; nothing was changed then.
    pub fn reload(&self, config: Config) -> Result<(), SetupError> {
        let _turn = lock(&self.turn);
        let now = self.state.load();
        let fixed = now.config.restart_for(&config);
        if !fixed.is_empty() {
            return Err(SetupError::NeedsRestart(fixed.join(", ")));
        }
        let found = Findings::read(config)?;
        let hub = self.live.hub.plan(&found.config)?;
        // After what only reads, so that no program connects to a socket that only a refused file has.
        let sources = self.sources.plan(&found.config)?;
        let plan = found.open(&self.live.challenges)?;
        self.commit(plan, hub, sources);
        info!("configuration reloaded");
        Ok(())
    }

    /// Puts a configuration in force. This is the only effect of a reload on the running server, and it cannot
    /// fail.
    fn commit(&self, plan: Plan, hub: HubPlan, sources: SourcesPlan) {
        let state = plan.commit(&self.live);
        self.live.hub.commit(hub);
        self.sources.commit(sources);
        state.show_certificates();
        telemetry::set_level(state.config.log.level);
        self.state.store(Arc::new(state));
        self.acme.reloaded();
    }

    /// Reloads the certificates if their files have changed; true if there are new ones. Blocks on files.
    ///
    /// # Errors
    /// [`TlsError`] if the files are invalid or incomplete; the certificates loaded before stay in use.
    pub(super) fn renew(&self) -> Result<bool, TlsError> {
        let _turn = lock(&self.turn);
        let now = self.state.load();
        let mut acceptors = now.acceptors.iter().flatten();
        if !acceptors.any(Acceptor::is_outdated) {
            return Ok(false);
        }
        // The first fault is enough for a line in the log.
        let found = Acceptors::read(&now.config);
        let found =
            found.map_err(|faults| faults.into_first().unwrap_or(TlsError::NoCertificate))?;
        let acceptors = found.open(&now.config, &self.live.challenges)?;
        let state = State {
            config: now.config.clone(),
            service: Arc::clone(&now.service),
            acceptors,
            telemetry: Arc::clone(&now.telemetry),
        };
        state.show_certificates();
        let acceptor = state.acceptors.iter().flatten().next();
        state.service.hosts().certified_by(acceptor);
        self.state.store(Arc::new(state));
        Ok(true)
    }

    /// Uses the worker threads and the locks that every message needs, as a health check. If this does not return, the
    /// process is stuck.
    pub async fn heartbeat(&self) {
        let (done, passed) = tokio::sync::oneshot::channel();
        let (hub, state) = (self.live.hub.clone(), Arc::clone(&self.state));
        self.live.shutdown.spawn_keeper(async move {
            hub.check_locks();
            let _ = done.send(Arc::clone(&state.load().service));
        });
        let _ = passed.await;
    }

    /// Time limit for tunnels after a hand-over; `None` means no limit.
    #[must_use]
    pub fn handover_limit(&self) -> Option<Duration> {
        self.state.load().config.server.handover
    }

    /// The certificates to get from an ACME authority.
    pub(super) fn acme(&self) -> Option<Acme> {
        self.state.load().config.acme.clone()
    }

    /// Interval of checking the certificate files; `None` means never.
    pub(super) fn look_every(&self) -> Option<Duration> {
        self.state.load().config.tls.watch
    }
}
