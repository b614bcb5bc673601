//! One connection: handshake, then HTTP/1.1 or HTTP/2 as negotiated by ALPN, until it ends or the server stops.

mod http2;

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tracing::debug;

use crate::config::Limits;
use crate::http::{Activity, Context, Drain, Rate, Scheme, Stall, Transport};
use crate::net::{Proxies, Stream};
use crate::server::State;
use crate::server::http1::{Http1, Http1Service};
use crate::server::responder::Responder;
use crate::service::Role;
use crate::shutdown::Shutdown;
use crate::telemetry::audit::{self, AuditClient, AuditObject, Kind};
use crate::tls::{Accepted, Alpn, HandshakeError, ServerName};

// The futures here live as long as their connections, thousands at once, and mostly idle. So each step has its space in
// a box that goes with it, and what an async block takes along is made outside of it: it would have room for both.

/// The context of an accepted connection.
pub(super) struct Arrival {
    pub(super) role: Role,
    /// The trusted proxies, if the connection comes from one of them.
    pub(super) proxies: Option<Arc<Proxies>>,
    /// The current state, with which each request is served.
    pub(super) current: Arc<ArcSwap<State>>,
    pub(super) started_at: Instant,
    pub(super) shutdown: Shutdown,
}

/// Serves a connection of an `https` listener.
pub(super) fn serve_tls(
    stream: Stream,
    listener: usize,
    arrival: Arrival,
) -> impl Future<Output = ()> + Send {
    let state = arrival.current.load_full();
    let peer = stream.peer();
    let handshake = Box::pin(handshake(stream, listener, Arc::clone(&state)));
    let drain = Drain::new(&arrival.shutdown, state.config.server.drain);
    async move {
        let accepted = tokio::select! {
            accepted = handshake => accepted,
            () = drain.may_give_up() => return,
        };
        match accepted {
            Some(Ok(accepted)) => {
                let transport = Transport::tls(accepted.stream, writing(&state.config.limits));
                let mut served = Served::new(transport, Some(accepted.server), state, arrival);
                served.context.client = accepted.client;
                match accepted.protocol {
                    Alpn::Http1 => served.http1().await,
                    Alpn::Http2 => Box::pin(served.http2()).await,
                }
            }
            Some(Err(error)) => {
                if let Some(suppressed) = state.telemetry.failed_handshakes.line() {
                    debug!(%peer, %error, suppressed, "the TLS handshake failed");
                }
                if error.is_about_the_client() {
                    let client = AuditClient {
                        peer: peer.to_string(),
                        ..AuditClient::default()
                    };
                    let object = AuditObject::new(Kind::Connection, "the TLS handshake");
                    audit::refused(&client, &object, None, &error.to_string());
                }
            }
            None => {}
        }
    }
}

/// Performs a handshake and updates the metrics. `None` after a validation handshake, and if the listener has no
/// certificates and so no TLS.
async fn handshake(
    stream: Stream,
    listener: usize,
    state: Arc<State>,
) -> Option<Result<Accepted, HandshakeError>> {
    let acceptor = state.acceptors.get(listener)?.as_ref()?;
    let metrics = &state.telemetry.metrics.connections;
    let started_at = Instant::now();
    let accepted = acceptor.accept(stream, state.config.limits.handshake).await;
    let accepted = accepted.transpose()?;
    match &accepted {
        Ok(_) => {
            metrics.handshakes.inc();
            let time = started_at.elapsed().as_secs_f64();
            metrics.handshake_time.observe(time);
        }
        Err(error) => metrics.fail(error.kind()),
    }
    Some(accepted)
}

/// Serves a connection of an `http` or `redirect` listener.
pub(super) fn serve_plain(stream: Stream, arrival: Arrival) -> impl Future<Output = ()> + Send {
    let state = arrival.current.load_full();
    let transport = Transport::plain(stream, writing(&state.config.limits));
    Served::new(transport, None, state, arrival).http1()
}

/// A connection on which HTTP is spoken.
struct Served {
    transport: Transport,
    context: Context,
    /// The state when the connection began, which determines its limits.
    state: Arc<State>,
    /// The current state, with which each request is served.
    current: Arc<ArcSwap<State>>,
    role: Role,
    shutdown: Shutdown,
    started_at: Instant,
}

impl Served {
    fn new(
        transport: Transport,
        server: Option<ServerName>,
        state: Arc<State>,
        arrival: Arrival,
    ) -> Self {
        let Arrival {
            role,
            proxies,
            current,
            started_at,
            shutdown,
        } = arrival;
        let context = Context {
            peer: transport.peer(),
            scheme: if server.is_some() {
                Scheme::Https
            } else {
                Scheme::Http
            },
            server,
            client: None,
            activity: Activity::new(),
            interim: None,
            proxies,
            header_lines: state.config.limits.headers,
            telemetry: Arc::clone(&state.telemetry),
        };
        let transport = transport.reporting_to(context.activity.close_reason());
        Self {
            transport: transport.lingering(&shutdown),
            context,
            state,
            current,
            role,
            shutdown,
            started_at,
        }
    }

    fn http1(self) -> impl Future<Output = ()> + Send {
        let limits = &self.state.config.limits;
        let activity = self.context.activity.clone();
        let transport =
            self.transport
                .with_head_limit(limits.head, limits.keep_alive, activity.clone());
        let responder = Responder {
            current: self.current,
            context: Context {
                interim: Some(transport.interim()),
                ..self.context
            },
            role: self.role,
        };
        let service = Http1Service::new(responder, &transport);
        let drain = Drain::new(&self.shutdown, self.state.config.server.drain);
        let close = async move { drain.may_close(&activity).await };
        Http1::new(transport, service, limits, close)
    }
}

/// Limits on a client that does not read.
fn writing(limits: &Limits) -> Stall {
    Stall::with_rate(limits.body_idle, rate(limits))
}

fn rate(limits: &Limits) -> Rate {
    Rate {
        bytes: limits.minimum_rate,
        grace: limits.minimum_rate_grace,
    }
}

/// Logs the end of a connection, unless it was an ordinary one.
fn log_end(ended: Result<(), impl Display>) {
    if let Err(error) = ended {
        debug!(%error, "connection ended early");
    }
}
