//! The parts of a server that outlive its configuration: open connections and channels, counts, permits, and the state
//! of apps and sessions. Only the commit of a reload changes them. Must not know requests.

use std::sync::Arc;

use crate::access::limits::LimitCounts;
use crate::access::route_limits::RouteCounts;
use crate::access::session::SessionCache;
use crate::admin::{Page, View};
use crate::bridge::{Consoles, Recordings};
use crate::cluster::Cluster;
use crate::config::Config;
use crate::hub::Hub;
use crate::net::ConnectionPermits;
use crate::push::SockJs;
use crate::push::mercure::MercureMemory;
use crate::service::handlers::GripMemory;
use crate::shutdown::Shutdown;
use crate::sources::Sources;
use crate::spool::SpoolUse;
use crate::telemetry::Telemetry;
use crate::tls::Challenges;
use crate::upstream::Apps;

/// Parts that outlive a configuration. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// The apps in force, with their worker permits and queues.
    pub apps: Apps,
    /// The channels.
    pub hub: Hub,
    /// The cluster that orders the messages of the channels, if there is one.
    pub cluster: Option<Cluster>,
    /// The `SockJS` sessions of the channels.
    pub sockjs: SockJs,
    /// The sources of the channels.
    pub sources: Sources,
    /// Telemetry of the server.
    pub telemetry: Arc<Telemetry>,
    /// The admin page, if there is one.
    pub admin_page: Option<Arc<Page>>,
    /// Proofs for an ACME authority.
    pub challenges: Challenges,
    /// Connection permits.
    pub connection_permits: ConnectionPermits,
    /// The stop signal.
    pub shutdown: Shutdown,
    pub(super) spool: SpoolUse,
    pub(super) limits: LimitCounts,
    pub(super) routes: RouteCounts,
    pub(super) sessions: Arc<SessionCache>,
    /// Serial consoles with several viewers.
    pub consoles: Consoles,
    pub(super) recordings: Recordings,
    pub(super) grip: GripMemory,
    pub(super) mercure: MercureMemory,
}

impl Live {
    /// Creates the parts of a new server: those that `view` reports on, and others that begin empty.
    #[must_use]
    pub(crate) fn new(config: &Config, view: &View) -> Self {
        Self {
            apps: view.apps.clone(),
            hub: view.hub.clone(),
            cluster: view.cluster.clone(),
            sockjs: SockJs::new(view.hub.clone()),
            sources: view.sources.clone(),
            telemetry: Arc::clone(&view.telemetry),
            admin_page: Page::new(config, view).map(Arc::new),
            challenges: view.acme.challenges().clone(),
            connection_permits: view.connection_permits.clone(),
            shutdown: view.shutdown.clone(),
            spool: view.spool.clone(),
            limits: LimitCounts::default(),
            routes: RouteCounts::default(),
            sessions: Arc::new(SessionCache::new(config)),
            consoles: view.consoles.clone(),
            recordings: Recordings::default(),
            grip: GripMemory::default(),
            mercure: MercureMemory::default(),
        }
    }

    /// Publishes the messages of GRIP apps that wait for an earlier one, before the hub is handed over. From then on
    /// none waits.
    pub(crate) fn end_waiting(&self) {
        self.grip.end_waiting(&self.hub);
    }

    /// Reverts [`end_waiting`](Self::end_waiting).
    pub(crate) fn wait_again(&self) {
        self.grip.wait_again();
    }

    /// Forgets the cached responses of the app about sessions: after a reload another app may be responsible.
    pub(crate) fn forget_responses(&self) {
        self.sessions.forget_responses();
    }
}
