//! Requests to an app: ordinary ones and WebSockets. Decides if GRIP, a file named by the app, or a login is part of
//! the exchange; these three do not know each other. Independent of how a request is forwarded.

use std::sync::Arc;

use http::{Method, Response, StatusCode};

use crate::cluster::Cluster;
use crate::config::Config;
use crate::http::{Body, Refusal};
use crate::net::ConnectionPermit;
use crate::proxy::{self, Forward};
use crate::router::Route;
use crate::service::app_requests::AppRequests;
use crate::service::exchange::Exchange;
use crate::service::handlers::grip::{GripApp, GripApps, GripRequests, GripSockets};
use crate::service::handlers::reserved::Reserved;
use crate::service::handlers::sendfile::Offloads;
use crate::service::headers::ResponseHeaders;
use crate::service::route_auth::{Entrances, permit_page};
use crate::service::route_limits::RouteLimits;
use crate::service::session_auth::SessionAuth;
use crate::service::shared_parts::SharedParts;
use crate::service::tunnel_permits::TunnelPermits;
use crate::shutdown::Shutdown;
use crate::telemetry::audit::{AuditObject, Kind, Opened};
use crate::upstream::Upstream;
use crate::websocket::{Handshake, asks_for_websocket};

/// Handles requests to the apps.
#[derive(Debug)]
pub(super) struct Apps {
    requests: Arc<AppRequests>,
    reserved: Reserved,
    headers: Arc<ResponseHeaders>,
    entrances: Arc<Entrances>,
    permits: TunnelPermits,
    route_limits: RouteLimits,
    sessions: SessionAuth,
    grip: Arc<GripApps>,
    grip_requests: GripRequests,
    grip_sockets: GripSockets,
    /// Directories from which each app may name files.
    offloads: Vec<Offloads>,
    /// The cluster, whose other nodes have to be notified of ended sessions.
    cluster: Option<Cluster>,
    shutdown: Shutdown,
}

impl Apps {
    pub(super) fn new(config: &Config, shared: &SharedParts, grip: Arc<GripApps>) -> Self {
        Self {
            requests: Arc::clone(&shared.apps),
            reserved: Reserved::new(config),
            headers: Arc::clone(&shared.headers),
            entrances: Arc::clone(&shared.entrances),
            permits: shared.permits.clone(),
            route_limits: shared.route_limits.clone(),
            sessions: shared.sessions.clone(),
            grip,
            grip_requests: GripRequests::new(shared),
            grip_sockets: GripSockets::new(shared),
            offloads: config.apps.iter().map(Offloads::new).collect(),
            cluster: shared.cluster.clone(),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Forwards a request to the app of this index.
    pub(super) async fn handle(
        &self,
        index: usize,
        exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let Some(upstream) = self.requests.get(index) else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        let reserved = self
            .reserved
            .check(upstream.settings(), &exchange.head.path);
        if let Err(refusal) = reserved {
            return Err(exchange.refuse(refusal, &self.shutdown));
        }
        let grip = match self.grip.app(index, &exchange.request) {
            Ok(grip) => grip,
            Err(refusal) => return Err(exchange.refuse(refusal, &self.shutdown)),
        };
        if asks_for_websocket(&exchange.request) {
            return Box::pin(self.websocket(index, upstream, grip, exchange)).await;
        }
        if exchange.request.method() == Method::CONNECT {
            return Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "the only protocol for CONNECT known here is websocket",
            ));
        }
        let change = match self.sessions.sessions() {
            Some(sessions) => {
                let asked = (exchange.request.method(), exchange.request.headers());
                let change = sessions.change(index, asked, exchange.head, exchange.context);
                Box::pin(change).await.map(|change| (sessions, change))
            }
            None => None,
        };
        let offloads = self.offloads.get(index);
        let asked =
            offloads.and_then(|offloads| Some((offloads, offloads.remember(&exchange.request)?)));
        let forward = self.forward(index, upstream, &exchange);
        let mut answer = match grip {
            Some(app) => Box::pin(self.grip_requests.request(app, forward, exchange)).await?,
            None => forward.request(exchange.request).await?,
        };
        if let Some((offloads, asked)) = asked {
            answer = Box::pin(offloads.resolve(asked, answer)).await?;
        }
        if let Some((sessions, change)) = change
            && sessions.make(&change, answer.status(), &self.shutdown)
        {
            for ended in sessions.logout_announcements(&change) {
                if let Some(cluster) = &self.cluster {
                    cluster.report_ended(ended);
                }
            }
        }
        Ok(answer)
    }

    /// Opens a WebSocket of the app, by GRIP if the app uses that.
    async fn websocket(
        &self,
        index: usize,
        upstream: &Arc<Upstream>,
        grip: Option<GripApp>,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let handshake = Handshake::check(&exchange.request)?;
        if let Some(entrance) = self.entrances.apps.get(index) {
            permit_page(entrance, exchange.visitor_parts().0)?;
        }
        let version = exchange.request.version();
        let route_permit = self.route_limits.hold_for_app(index, exchange.context)?;
        let permit = self.permits.take(version, exchange.context)?;
        let permit = ConnectionPermit::with_route(permit, route_permit);
        if let Some(app) = grip.filter(GripApp::is_over_http) {
            let opening = (handshake, permit);
            return self
                .grip_sockets
                .open(app, upstream, opening, exchange)
                .await;
        }
        let forward = self.forward(index, upstream, &exchange);
        let audit = exchange.audit;
        let opened = |app| Opened::new(audit.client(), AuditObject::new(Kind::WebSocket, app));
        proxy::open_tunnel(forward, exchange.request, handshake, permit, opened).await
    }

    fn forward<'a>(
        &'a self,
        index: usize,
        upstream: &'a Arc<Upstream>,
        exchange: &Exchange<'a>,
    ) -> Forward<'a> {
        let mut forward = self
            .requests
            .forward(upstream, exchange.head, exchange.context);
        forward.requester.times = exchange.times;
        forward.removed = self.headers.replaced(Some(Route::App(index)));
        forward
    }
}
