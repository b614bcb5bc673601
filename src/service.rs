//! One request: checks its head, chooses the route, checks permission, calls one handler, and converts every error
//! to a response. Each request has one access line.
//!
//! [`pipeline`] is the list of these steps, and [`respond`] the outside of each request. Does not read bodies.

mod app_requests;
mod audit_record;
mod channel_auth;
mod error;
mod exchange;
mod grip_keys;
mod handlers;
mod headers;
mod live;
mod login_limit;
mod methods;
mod page_message;
mod pipeline;
mod plan;
mod request_bodies;
mod respond;
mod responses;
mod route_auth;
mod session_auth;
mod shared;
mod token_limit;
mod tunnel_permits;
mod upkeep;

use std::sync::Arc;

use http::{Request, Response};

use crate::access::hosts::KnownHosts;
use crate::admin::Page;
use crate::config::Config;
use crate::http::{Body, Context, Incoming, refuse};
use crate::hub::Hub;
use crate::net::Slots;
use crate::push::SockJs;
use crate::router::Router;
use crate::shares::Share;
use crate::shutdown::Shutdown;
use crate::telemetry::{Inside, Measured};
use crate::tls::Challenges;
use crate::upstream::Upstream;

pub use error::BuildError;
pub use plan::Plan;

use app_requests::AppRequests;
use channel_auth::ChannelAuth;
use exchange::reported_client;
use handlers::{Handlers, Parts};
use headers::ResponseHeaders;
use live::Live;
use login_limit::LoginLimit;
use pipeline::Pipeline;
use request_bodies::RequestBodies;
use respond::{Held, Wrapper};
use route_auth::RouteAuth;
use session_auth::SessionAuth;
use shared::Shared;
use token_limit::TokenLimit;
use tunnel_permits::TunnelPermits;
use upkeep::Upkeep;

/// The response to any request.
pub type Answer = Response<AnswerBody>;

/// The body of a response.
pub type AnswerBody = Measured<Body, Held>;

/// Handles the requests of one configuration.
#[derive(Debug)]
pub struct Service {
    wrapper: Wrapper,
    pipeline: Pipeline,
    upkeep: Upkeep,
    bodies: RequestBodies,
    live: Live,
}

/// Shared parts that outlive a service.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The channels.
    pub hub: Hub,
    /// Their `SockJS` sessions.
    pub sockjs: SockJs,
    /// Telemetry of the server.
    pub inside: Arc<Inside>,
    /// The admin page, if there is one.
    pub admin_page: Option<Arc<Page>>,
    /// Proofs for an ACME authority.
    pub challenges: Challenges,
    /// Connection permits.
    pub slots: Slots,
    /// The stop signal.
    pub shutdown: Shutdown,
}

/// The role of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serve the routes.
    Serve,
    /// Redirect all requests to https, at this port.
    Redirect(u16),
    /// Take messages of GRIP apps, and nothing else.
    Grip,
}

impl Service {
    /// Creates the service for a configuration and its plan. `before` is the service that it replaces: its
    /// workers, sessions and counts continue under the new limits from here on. It cannot fail, and belongs to the
    /// commit of a reload: everything that can fail comes before it.
    #[must_use]
    pub fn new(plan: Plan, config: &Config, around: &Surroundings, before: Option<&Self>) -> Self {
        let before = before.map(|before| &before.live);
        let live = Live::new(config, &plan.connectors, plan.grip, around, before);
        let Surroundings {
            hub,
            sockjs,
            inside,
            admin_page,
            challenges,
            slots,
            shutdown,
        } = around.clone();
        let sessions = SessionAuth::new(live.sessions.clone());
        let bodies = RequestBodies::new(config, live.spool.clone());
        let apps = AppRequests::new(
            live.apps.clone(),
            bodies.limits(),
            sessions.clone(),
            shutdown.clone(),
        );
        let tokens = TokenLimit::new(Arc::clone(&live.limits));
        let channels = ChannelAuth::new(
            hub.clone(),
            sessions.clone(),
            plan.tokens.map(Arc::new),
            tokens.clone(),
            config.needs(None),
        );
        let shared = Shared {
            apps: Arc::new(apps),
            bodies,
            channels,
            entrances: Arc::new(plan.entrances),
            headers: Arc::new(ResponseHeaders::new(config)),
            hub,
            permits: TunnelPermits::new(slots.clone(), Arc::clone(&inside)),
            sessions,
            shutdown,
            tokens,
        };
        let parts = Parts {
            targets: plan.targets,
            recorder: live.recorder.clone(),
            grip: Arc::clone(&live.grip),
            sockjs: sockjs.clone(),
            admin_page,
            challenges,
        };
        let (limits, apps) = (Arc::clone(&live.limits), Arc::clone(&shared.apps));
        Self {
            wrapper: Wrapper::new(config, &shared, inside, slots),
            upkeep: Upkeep::new(&shared, sockjs),
            pipeline: Pipeline {
                logins: LoginLimit::new(config, Arc::clone(&limits), Arc::clone(&apps)),
                limits,
                router: Router::new(config),
                apps,
                route_auth: RouteAuth::new(config, Arc::clone(&shared.entrances)),
                handlers: Handlers::new(config, &shared, parts),
                shutdown: shared.shutdown,
            },
            bodies: shared.bodies,
            live,
        }
    }

    /// Responds to a request; every failure becomes a response too.
    pub async fn respond(
        &self,
        mut request: Request<Incoming>,
        context: &Context,
        role: Role,
    ) -> Answer {
        let busy = context.activity.begin();
        let spelling = context.activity.spelling();
        if !spelling.is_standard() {
            request.extensions_mut().insert(spelling);
        }
        let counted = (busy, context.activity.pending());
        let reported = reported_client(request.headers(), context);
        let context = reported.as_ref().unwrap_or(context);
        let (wrapped, begun) = self.wrapper.begin(&mut request, context, counted);
        let mut route = None;
        let handled = match begun {
            Ok(()) => {
                let times = wrapped.times();
                self.pipeline
                    .run(request, context, role, times, &mut route)
                    .await
            }
            Err(refusal) => {
                refuse(request.into_body(), &self.pipeline.shutdown);
                Err(refusal)
            }
        };
        self.wrapper.end(wrapped, handled, route, context)
    }

    /// The memory for what a connection has received and nobody has read yet.
    #[must_use]
    pub fn unread_memory(&self, context: &Context) -> Share {
        self.bodies.unread_memory(context)
    }

    /// The known host names; those in certificates change during the life of a service.
    #[must_use]
    pub fn hosts(&self) -> &KnownHosts {
        self.pipeline.route_auth.hosts()
    }

    /// The admin page, if there is one.
    #[must_use]
    pub fn admin_page(&self) -> Option<&Arc<Page>> {
        self.pipeline.handlers.admin_page()
    }

    /// The apps, in the order of the configuration.
    #[must_use]
    pub fn apps(&self) -> &[Arc<Upstream>] {
        &self.live.apps
    }

    /// Closes connections to the apps that were idle for too long; to be called about once a second.
    pub fn close_idle(&self) {
        self.upkeep.close_idle();
    }

    /// Repeats due session queries for open connections; to be called about once a second.
    pub async fn ask_again(&self) {
        self.upkeep.ask_again().await;
    }

    /// Runs the hub's housekeeping; to be called about once a second.
    pub fn look_after_channels(&self) {
        self.upkeep.look_after_channels();
    }
}
