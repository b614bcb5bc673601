//! Limits of a route per address, as a step of a request: on the rate of requests, and on requests in progress.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::access::route_limits::{self, Exceeded, RouteCounts, RouteLimit};
use crate::config::Config;
use crate::http::{Context, Refusal};
use crate::net::AddressPermit;
use crate::router::Route;
use crate::service::app_requests::AppRequests;
use crate::service::token_limit::too_many;
use crate::telemetry::AddressLimited;

/// `Retry-After` if too many requests of an address are in progress: it is not known when they end.
const NO_PERMIT_RETRY: Duration = Duration::from_secs(1);

/// Counts requests to each route per client.
#[derive(Clone, Debug)]
pub(super) struct RouteLimits {
    limits: Arc<route_limits::RouteLimits>,
    apps: Arc<AppRequests>,
}

impl RouteLimits {
    pub(super) fn new(config: &Config, counts: &RouteCounts, apps: Arc<AppRequests>) -> Self {
        Self {
            limits: Arc::new(route_limits::RouteLimits::new(config, counts)),
            apps,
        }
    }

    /// Counts a request towards the limits of its route. Returns the time for which it has to be held back, and the
    /// permit that its response holds. A WebSocket gets the permit of its tunnel later.
    pub(super) fn admit(
        &self,
        route: Route,
        websocket: bool,
        context: &Context,
    ) -> Result<(Duration, Option<AddressPermit>), Refusal> {
        let Some(limit) = self.of(route) else {
            return Ok((Duration::ZERO, None));
        };
        let permit = match route {
            Route::App(_) if websocket => Ok(None),
            _ => limit.hold(context.peer),
        };
        // A request without a permit does not count for the rate.
        let turn = permit.and_then(|permit| Ok((limit.take_turn(context.peer)?, permit)));
        turn.map_err(|exceeded| self.exceeded(route, exceeded))
    }

    /// Takes the permit of a WebSocket of an app; `None` if there is no limit.
    pub(super) fn hold_for_app(
        &self,
        index: usize,
        context: &Context,
    ) -> Result<Option<AddressPermit>, Refusal> {
        let route = Route::App(index);
        let Some(limit) = self.of(route) else {
            return Ok(None);
        };
        let permit = limit.hold(context.peer);
        permit.map_err(|exceeded| self.exceeded(route, exceeded))
    }

    fn of(&self, route: Route) -> Option<&RouteLimit> {
        match route {
            Route::App(index) => self.limits.of_app(index),
            Route::Files(index) => self.limits.of_files(index),
            Route::Websockify
            | Route::Hub(_)
            | Route::Mercure
            | Route::Webhook
            | Route::Page(_)
            | Route::Consoles(_)
            | Route::Welcome => None,
        }
    }

    /// Counts a refusal, and converts it to a response.
    fn exceeded(&self, route: Route, exceeded: Exceeded) -> Refusal {
        let (limit, refusal) = match exceeded {
            Exceeded::Rate(wait) => (
                AddressLimited::Rate,
                too_many("requests to this page", wait),
            ),
            Exceeded::InProgress => (
                AddressLimited::InProgress,
                Refusal::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "the limit on requests in progress from one address is reached here",
                )
                .retry_after(NO_PERMIT_RETRY),
            ),
        };
        if let Route::App(index) = route
            && let Some(app) = self.apps.get(index)
        {
            app.metrics().limited(limit);
        }
        refusal
    }
}
