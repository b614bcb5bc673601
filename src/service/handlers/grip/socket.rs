//! WebSockets of clients to an app with GRIP: requests the app's permission to open one, and carries its events in
//! requests. Must not know the meaning of the events.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_EXTENSIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use crate::http::{Body, Refusal, full};
use crate::net::ConnectionPermit;
use crate::push::grip::{
    EVENTS, Events, HoldContext, OPENING, Opening, SendEvents, Unsent, drop_grip_headers,
};
use crate::service::app_requests::AppRequests;
use crate::service::exchange::Exchange;
use crate::service::handlers::grip::apps::GripApp;
use crate::service::handlers::grip::holding::Holding;
use crate::service::handlers::grip::visitor::Visitor;
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;
use crate::telemetry::audit::{AuditObject, Kind, Opened};
use crate::telemetry::{TunnelInfo, TunnelKind};
use crate::upstream::Upstream;
use crate::websocket::{Handshake, Upgrade};

/// Sends the requests of one connection.
struct Connection {
    visitor: Visitor,
    id: HeaderValue,
}

/// Opens WebSockets of apps with GRIP.
#[derive(Debug)]
pub(in crate::service::handlers) struct GripSockets {
    apps: Arc<AppRequests>,
    holding: Holding,
    shutdown: Shutdown,
}

impl GripSockets {
    pub(in crate::service::handlers) fn new(shared: &SharedParts) -> Self {
        Self {
            apps: Arc::clone(&shared.apps),
            holding: Holding::new(shared),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Requests the app's permission to open a WebSocket, and carries its events in its own task.
    pub(in crate::service::handlers) async fn open(
        &self,
        app: GripApp,
        upstream: &Arc<Upstream>,
        (handshake, permit): (Handshake, Option<ConnectionPermit>),
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let (head, context, audit) = (exchange.head, exchange.context, exchange.audit);
        let upgrade = Upgrade::of(&mut exchange.request);
        let over_http2 = exchange.request.version() == Version::HTTP_2;
        let (parts, _) = exchange.request.into_parts();
        let lease = self.holding.lease(&app, &parts.headers, head, context);
        let lease = lease.await;
        let parts = with_events(parts);
        let visitor = Visitor::new(&self.apps, upstream, &app, &parts, (head, context));
        let id = connection_id()?;
        let connection = Arc::new(Connection { visitor, id });
        let first = Events {
            body: Bytes::from_static(OPENING),
            meta: std::collections::BTreeMap::new(),
        };
        let (parts, body) = connection.post(first).await?;
        let opening = Opening::read(&parts, body.clone()).map_err(|reason| {
            let cause = format!("app {}: {reason}", app.name);
            let reason = "the application opened no WebSocket";
            Refusal::new(StatusCode::BAD_GATEWAY, reason).because(&cause)
        })?;
        let Some(opening) = opening else {
            return Ok(refused(parts, body));
        };
        let hold_context = self
            .holding
            .hold_context(&app, lease, "grip-websocket", context, audit);
        let target = format!("app {}", app.name);
        let line = Opened::new(
            audit.client(),
            AuditObject::new(Kind::WebSocket, target.clone()),
        );
        let tunnel = context.telemetry.tunnels.open(TunnelInfo {
            kind: TunnelKind::App,
            peer: context.peer.to_string(),
            target,
            console: None,
            user: None,
            session: None,
            subprotocol: None,
            rfb: None,
            viewer: None,
        });
        let busy = context.activity.begin();
        self.shutdown.spawn(async move {
            let mut line = line;
            let (up, down, reason) =
                carry(upgrade, opening, hold_context, connection.sender(), &tunnel).await;
            line.count(up, down);
            line.because(reason);
            tunnel.moved(up, down);
            drop((busy, permit));
        });
        Ok(accepted(&parts, handshake, over_http2))
    }
}

async fn carry(
    upgrade: Upgrade,
    opening: Opening,
    hold_context: HoldContext,
    send: SendEvents,
    tunnel: &crate::telemetry::Tunnel,
) -> (u64, u64, String) {
    let Some(client) = upgrade.client().await else {
        // The app believes that it is open.
        let gone = (tokio::io::empty(), Vec::new());
        return opening.run(gone, hold_context, send, tunnel).await;
    };
    opening.run(client, hold_context, send, tunnel).await
}

impl Connection {
    fn sender(self: Arc<Self>) -> SendEvents {
        Arc::new(move |events| {
            let connection = Arc::clone(&self);
            Box::pin(async move {
                connection.post(events).await.map_err(|refusal| Unsent {
                    // Otherwise the request has never left the queue, or the app was not there.
                    may_have_arrived: refusal.status != StatusCode::SERVICE_UNAVAILABLE,
                    reason: refusal.cause.unwrap_or_else(|| refusal.reason.into_owned()),
                })
            })
        })
    }

    async fn post(&self, events: Events) -> Result<(http::response::Parts, Bytes), Refusal> {
        let mut own = HeaderMap::new();
        own.insert(HeaderName::from_static("connection-id"), self.id.clone());
        for (name, value) in &events.meta {
            let name = HeaderName::try_from(format!("meta-{name}"));
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                own.insert(name, value);
            }
        }
        self.visitor
            .submit(self.visitor.parts(), events.body, own)
            .await
    }
}

/// The head of the requests with events: the client's handshake with another method and without a body.
fn with_events(mut parts: Parts) -> Parts {
    parts.method = Method::POST;
    let headers = &mut parts.headers;
    let events = HeaderValue::from_static(EVENTS);
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, events.clone());
    headers.insert(ACCEPT, events);
    let grip = HeaderValue::from_static("grip");
    headers.insert(SEC_WEBSOCKET_EXTENSIONS, grip);
    parts
}

/// Creates an unguessable id of the connection.
fn connection_id() -> Result<HeaderValue, Refusal> {
    let mut bytes = [0; 16];
    let filled = aws_lc_rs::rand::fill(&mut bytes);
    let text = format!("{:032x}", u128::from_be_bytes(bytes));
    let id = filled.ok().and_then(|()| HeaderValue::try_from(text).ok());
    id.ok_or_else(|| {
        let reason = "there is no random number for the connection";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    })
}

/// The app's own response instead of a WebSocket.
fn refused(parts: http::response::Parts, body: Bytes) -> Response<Body> {
    let mut response = Response::from_parts(parts, full(body));
    let headers = response.headers_mut();
    drop_grip_headers(headers);
    crate::http::drop_own_headers(headers);
    // The client waits for a WebSocket; whatever it has sent behind the handshake must not become a request.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The response that opens the WebSocket, with the app's headers for the client.
fn accepted(
    parts: &http::response::Parts,
    handshake: Handshake,
    over_http2: bool,
) -> Response<Body> {
    let own = handshake.accept(None);
    let mut headers = Opening::headers(parts);
    crate::http::drop_own_headers(&mut headers);
    let (mut own_parts, body) = own.into_parts();
    if !over_http2 {
        for (name, value) in &own_parts.headers {
            headers.insert(name, value.clone());
        }
    }
    own_parts.headers = headers;
    Response::from_parts(own_parts, body)
}
