//! Serves one request: checks its head, chooses the route, authorises it, calls one handler, and converts every error
//! to a response. Each request has one access line.
//!
//! [`pipeline`] is the list of these steps, and [`respond`] wraps each request. Does not read bodies.

mod app_requests;
mod audit_record;
mod channel_auth;
mod exchange;
mod grip_keys;
mod handlers;
mod headers;
mod live;
mod login_limit;
mod mercure_keys;
mod methods;
mod page_message;
mod pipeline;
mod plan;
mod request_bodies;
mod respond;
mod responses;
mod route_auth;
mod route_limits;
mod session_auth;
mod setup_error;
mod shared_parts;
mod token_limit;
mod tunnel_permits;
mod upkeep;

use std::sync::Arc;

use http::{Request, Response};

use crate::access::hosts::KnownHosts;
use crate::access::limits::Limits;
use crate::access::session::Sessions;
use crate::admin::Page;
use crate::bridge::Recorder;
use crate::config::{self, Config};
use crate::http::{Body, Context, Incoming, refuse};
use crate::push::mercure::{MercureHub, Rules};
use crate::router::Router;
use crate::shares::Share;
use crate::spool::Spool;
use crate::telemetry::Measured;
use crate::tls::Connector;
use crate::upstream::Upstream;

pub(crate) use live::Live;
pub(crate) use plan::Plan;
pub use setup_error::SetupError;

use app_requests::AppRequests;
use channel_auth::ChannelAuth;
use exchange::reported_client;
use handlers::{GripApps, Handlers, Parts};
use headers::ResponseHeaders;
use login_limit::LoginLimit;
use pipeline::Pipeline;
use request_bodies::RequestBodies;
use respond::{HeldResources, Progress, Wrapper};
use route_auth::RouteAuth;
use route_limits::RouteLimits;
use session_auth::SessionAuth;
use shared_parts::SharedParts;
use token_limit::TokenLimit;
use tunnel_permits::TunnelPermits;
use upkeep::Upkeep;

/// The response to any request.
pub(crate) type ServiceResponse = Response<ServiceBody>;

/// The body of a response.
pub(crate) type ServiceBody = Measured<Body, HeldResources>;

/// Handles the requests of one configuration.
#[derive(Debug)]
pub(crate) struct Service {
    wrapper: Wrapper,
    pipeline: Pipeline,
    upkeep: Upkeep,
    bodies: RequestBodies,
}

/// The role of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Serve the routes.
    Serve,
    /// Redirect all requests to https, at this port.
    Redirect(u16),
    /// Take messages of GRIP apps only.
    Grip,
}

impl Service {
    /// Creates the service for a configuration and its plan, over the parts that outlive both. It cannot fail, and is a
    /// part of the commit of a reload; its apps must be put in force afterwards.
    #[must_use]
    pub(crate) fn new(plan: Plan, config: &Config, live: &Live) -> Self {
        let shutdown = &live.shutdown;
        let spool = Spool::new(config.spool.clone(), &config.limits, &live.spool);
        let metrics = &live.telemetry.metrics;
        let known = live.apps.live();
        let app = |(settings, tls): (&config::App, &Option<Connector>)| {
            let counted = metrics.apps.of(&settings.name);
            let known = known.get(&settings.name).cloned().unwrap_or_default();
            Upstream::new(
                settings.clone(),
                tls.as_ref(),
                counted,
                &spool,
                known,
                shutdown,
            )
        };
        let upstreams = config.apps.iter().zip(&plan.connectors).map(app);
        let upstreams: Vec<_> = upstreams.collect();
        let sessions = Sessions::new(config, &upstreams, &live.sessions);
        let sessions = SessionAuth::new(sessions.map(Arc::new));
        let bodies = RequestBodies::new(config, spool);
        let apps = AppRequests::new(
            upstreams,
            bodies.limits(),
            sessions.clone(),
            shutdown.clone(),
        );
        let limits = Arc::new(Limits::new(&config.limits, &live.limits));
        let tokens = TokenLimit::new(Arc::clone(&limits));
        let channels = ChannelAuth::new(
            live.hub.clone(),
            sessions.clone(),
            plan.tokens.map(Arc::new),
            tokens.clone(),
            config.needs(None),
        );
        let apps = Arc::new(apps);
        let shared = SharedParts {
            requests: limits.requests().clone(),
            route_limits: RouteLimits::new(config, &live.routes, Arc::clone(&apps)),
            apps,
            bodies,
            channels,
            cluster: live.cluster.clone(),
            entrances: Arc::new(plan.entrances),
            headers: Arc::new(ResponseHeaders::new(config)),
            hub: live.hub.clone(),
            permits: TunnelPermits::new(
                live.connection_permits.clone(),
                Arc::clone(&live.telemetry),
            ),
            sessions,
            shutdown: shutdown.clone(),
            tokens,
        };
        let recorder = Recorder::new(&config.bridge.recording, &live.recordings);
        let parts = Parts {
            targets: plan.targets,
            recorder: recorder.clone(),
            consoles: live.consoles.clone(),
            grip: Arc::new(GripApps::new(plan.grip, config, &live.grip)),
            mercure: config.mercure.as_ref().and_then(|settings| {
                let rules = Rules::new(settings.clone())?;
                MercureHub::new(&live.hub, rules, &live.mercure).zip(plan.mercure)
            }),
            sockjs: live.sockjs.clone(),
            sources: live.sources.clone(),
            admin_page: live.admin_page.clone(),
            challenges: live.challenges.clone(),
        };
        let apps = Arc::clone(&shared.apps);
        Self {
            wrapper: Wrapper::new(config, &shared, live),
            upkeep: Upkeep::new(&shared, live.sockjs.clone(), recorder),
            pipeline: Pipeline {
                logins: LoginLimit::new(config, Arc::clone(&limits), Arc::clone(&apps)),
                limits,
                router: Router::new(config),
                apps,
                route_auth: RouteAuth::new(config, Arc::clone(&shared.entrances)),
                route_limits: shared.route_limits.clone(),
                handlers: Handlers::new(config, &shared, parts),
                shutdown: shared.shutdown,
            },
            bodies: shared.bodies,
        }
    }

    /// Responds to a request; every failure becomes a response.
    pub(crate) async fn respond(
        &self,
        mut request: Request<Incoming>,
        context: &Context,
        role: Role,
    ) -> ServiceResponse {
        let busy = context.activity.begin();
        let spelling = context.activity.spelling();
        if !spelling.is_standard() {
            request.extensions_mut().insert(spelling);
        }
        let counted = (busy, context.activity.pending());
        let reported = reported_client(request.headers(), context);
        let context = reported.as_ref().unwrap_or(context);
        let (wrapped, checked) = self.wrapper.begin(&mut request, context, counted);
        let mut progress = Progress::default();
        let handled = match checked {
            Ok(()) => {
                let times = wrapped.times();
                self.pipeline
                    .run(request, context, role, times, &mut progress)
                    .await
            }
            Err(refusal) => {
                refuse(request.into_body(), &self.pipeline.shutdown);
                Err(refusal)
            }
        };
        self.wrapper.end(wrapped, handled, progress, context)
    }

    /// The memory for bytes that a connection has received and no handler has read yet.
    #[must_use]
    pub(crate) fn unread_memory(&self, context: &Context) -> Share {
        self.bodies.unread_memory(context)
    }

    /// The known host names. The names from certificates change while the service runs.
    #[must_use]
    pub(crate) fn hosts(&self) -> &KnownHosts {
        self.pipeline.route_auth.hosts()
    }

    /// The admin page, if there is one.
    #[must_use]
    pub(crate) fn admin_page(&self) -> Option<&Arc<Page>> {
        self.pipeline.handlers.admin_page()
    }

    /// The apps, in the order of the configuration.
    #[must_use]
    pub(crate) fn apps(&self) -> &[Arc<Upstream>] {
        self.pipeline.apps.all()
    }

    /// Closes connections to the apps that have been idle for too long; to be called about once a second.
    pub(crate) fn close_idle(&self) {
        self.upkeep.close_idle();
    }

    /// Deletes recordings that are too old; to be called about once a second.
    pub(crate) fn look_after_recordings(&self) {
        self.upkeep.look_after_recordings();
    }

    /// Repeats due session queries for open connections; to be called about once a second.
    pub(crate) async fn repeat_queries(&self) {
        self.upkeep.repeat_queries().await;
    }

    /// Runs the hub's housekeeping; to be called about once a second.
    pub(crate) fn look_after_channels(&self) {
        self.upkeep.look_after_channels();
    }
}
