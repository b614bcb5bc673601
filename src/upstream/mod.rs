//! The app: its addresses, their connections, and the permits that count their workers.
//!
//! A request takes a worker permit of an address, and then a connection: a pooled or a new one. The response holds both
//! until its body has arrived, no matter if its client reads it, is slow, or has left; then they are returned.
//! Independent of routes; changes no header except the affinity cookie.

mod abandoned;
mod affinity;
mod availability;
mod backend;
mod balancer;
mod condition;
mod connect;
mod connection;
mod drain;
mod fair_queue;
mod h1;
mod health;
mod live_app;
mod pool;
mod probe;
mod reachability;
mod registry;
mod request_body;
mod response;
mod response_buffer;
mod response_flow;
mod response_reader;
mod restart_wait;
mod send;
mod silence;
mod slow_clients;
mod status;
mod upgrade;
mod upload;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, AppUrl};
use crate::http::{BoxError, Budget};
use crate::shares::{Client, Denied, Share, Shares};
use crate::shutdown::Shutdown;
use crate::spool::{Spool, SpoolUse};
use crate::telemetry::AppMetrics;
use crate::tls::{Connector, DialError, explain_alert};

pub(crate) use response::UpstreamBody;

pub(crate) use condition::Condition;
pub(crate) use drain::DrainError;
pub(crate) use live_app::LiveApp;
pub(crate) use registry::Apps;
pub(crate) use request_body::Payload;
pub(crate) use status::{AddressStatus, Load};
pub(crate) use workers::Requester;

use availability::ClosedReason;
use backend::Backend;
use health::Health;
use restart_wait::RestartWait;
use slow_clients::SlowClients;
use workers::Queue;

/// The app behind Noren.
#[derive(Debug)]
pub(crate) struct Upstream {
    settings: config::App,
    metrics: AppMetrics,
    /// The addresses, in the order of the configuration.
    backends: Vec<Arc<Backend>>,
    queue: Queue,
    live: Arc<LiveApp>,
    spool: Spool,
    slow_clients: SlowClients,
    restart_wait: RestartWait,
    health: Option<Health>,
    /// Workers that uploads may occupy while they arrive.
    uploads: Shares,
    tasks: Shutdown,
}

/// Reasons why the app gives no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// All workers are busy, and the queue is full.
    #[error("{0} requests wait for the app already")]
    QueueFull(usize),
    /// All workers were busy for the longest time that a request may wait.
    #[error("no worker of the app was free within {0:?}")]
    QueueSlow(Duration),
    /// Connecting to the app failed.
    #[error(transparent)]
    Connect(#[from] DialError),
    /// The health check of the app fails.
    #[error("the app has no healthy response to {0}")]
    Unhealthy(String),
    /// The response did not begin in time.
    #[error("the app did not begin to answer within {0:?}")]
    Slow(Duration),
    /// The app broke the connection, or its response is not valid HTTP.
    #[error("the app broke the exchange: {0}")]
    Broken(#[source] BoxError),
}

impl Upstream {
    /// Creates an app without connections. Its responses wait in the spool for slow clients; `tasks` runs the tasks
    /// that buffer them, and those that complete abandoned exchanges. `live` contains the worker permits and the
    /// condition of the addresses. The app must be [put in force](Self::put_in_force).
    #[must_use]
    pub(crate) fn new(
        settings: config::App,
        tls: Option<&Connector>,
        metrics: AppMetrics,
        spool: &Spool,
        live: Arc<LiveApp>,
        tasks: &Shutdown,
    ) -> Arc<Self> {
        let backend = |url: &AppUrl| Backend::new(url, tls, &settings, live.address(url), tasks);
        let backends = settings.urls.iter().map(backend).collect();
        Self::build(settings, (backends, metrics, spool.clone()), live, tasks)
    }

    /// Puts the settings of this app in force, in the permits and addresses that it shares with its predecessor of the
    /// same name. This is the only step of a reload that affects them.
    pub(crate) fn put_in_force(&self) {
        self.live.keep_only(&self.backends);
        for backend in &self.backends {
            backend.put_in_force();
            if self.settings.health_path.is_none() {
                // It would never be found well again.
                backend
                    .shared
                    .availability
                    .set(ClosedReason::Unhealthy, false);
            }
        }
        self.change_queue();
        self.keep_one_open();
    }

    /// Creates separate connections and workers to the addresses of this app, for requests of Noren itself. Their
    /// responses are not buffered, and they do not wait for a restart of the app. The condition of an address is shared
    /// by both.
    #[must_use]
    pub(crate) fn for_own_requests(&self, settings: config::App) -> Arc<Self> {
        let settings = config::App {
            response_spool: false,
            restart_wait: Duration::ZERO,
            health_path: None,
            ..settings
        };
        let backends = self.backends.iter();
        let backends = backends
            .map(|backend| backend.for_own_requests(&settings))
            .collect();
        let limits = config::Limits::default();
        let nowhere = Spool::new(config::Spool::default(), &limits, &SpoolUse::default());
        let parts = (backends, AppMetrics::unread(), nowhere);
        let upstream = Self::build(settings, parts, self.live.for_own_requests(), &self.tasks);
        upstream.change_queue();
        upstream
    }

    fn build(
        settings: config::App,
        (backends, metrics, spool): (Vec<Arc<Backend>>, AppMetrics, Spool),
        live: Arc<LiveApp>,
        tasks: &Shutdown,
    ) -> Arc<Self> {
        let streaming = (settings.workers * backends.len() / 2).max(1) as u64;
        Arc::new(Self {
            restart_wait: RestartWait::new(&settings.name, settings.restart_wait),
            health: Health::new(&settings),
            slow_clients: SlowClients::default(),
            metrics,
            backends,
            queue: live.queue.clone(),
            uploads: Shares::of_taken(&live.uploads, streaming, spool.parts()),
            live,
            settings,
            spool,
            tasks: tasks.clone(),
        })
    }

    /// Sets the limits and addresses of this app in the queue.
    fn change_queue(&self) {
        let settings = &self.settings;
        self.queue.set_limits(settings.queue, settings.queue_wait);
        self.queue.set_backends(&self.backends, settings.workers);
    }

    /// The settings of the app.
    #[must_use]
    pub(crate) fn settings(&self) -> &config::App {
        &self.settings
    }

    /// The memory and disk budget for request bodies of this client.
    #[must_use]
    pub(crate) fn budget(&self, client: Client) -> Budget<'_> {
        Budget {
            spool: &self.spool,
            client,
            disk: self.settings.request_spool,
        }
    }

    /// Takes a permit to occupy a worker with an upload for which the spool has no room; half of the workers are
    /// reserved for other requests. Waits for it as long as for a worker. `None` if the app wants uploads unbuffered.
    ///
    /// # Errors
    /// [`Denied`] if the permits are taken, or the client has used up its share.
    pub(crate) async fn place_for_upload(&self, client: Client) -> Result<Option<Share>, Denied> {
        if !self.settings.request_spool {
            return Ok(None);
        }
        let wait = self.settings.queue_wait;
        self.uploads.take_within(wait, client, 1).await.map(Some)
    }

    /// Closes connections that have been idle for too long. To be called about once a second: an idle connection may
    /// occupy a worker of the app.
    pub(crate) fn close_idle(&self) {
        for backend in &self.backends {
            backend.close_idle();
        }
    }
}

fn broken(error: impl Into<BoxError>) -> UpstreamError {
    let error = error.into();
    UpstreamError::Broken(match explain_alert(&*error) {
        Some(alert) => alert.into(),
        None => error,
    })
}
