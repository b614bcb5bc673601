//! One connection: handshake, then HTTP/1.1 or HTTP/2 as negotiated by ALPN, until it ends or the server stops.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

use crate::config::Limits;
use crate::http::{
    AbortAfterFlush, Activity, Context, Drain, Incoming, Rate, Scheme, Sent, Stall, Transport,
    Unread, Watch,
};
use crate::net::{Proxies, Stream};
use crate::server::State;
use crate::server::dormant::Dormant;
use crate::server::http1::{Http1, Http1Service};
use crate::server::streams::{Multiplexed, Streams};
use crate::service::Role;
use crate::shutdown::Shutdown;
use crate::telemetry::audit::{self, Kind, What, Who};
use crate::tls::{Accepted, Alpn, HandshakeError, ServerName};

/// Window of each HTTP/2 stream. Enough for an upload at 100 Mbit/s over 80 ms.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Window of the connection. h2 permits unread small frames up to half of it in total, and then ends the connection as
/// a flood; the keystrokes and mouse moves of a console over HTTP/2 are such frames.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Limit on response bytes that hyper holds while a stream cannot send them.
const SEND_BUFFER: usize = 64 * 1024;
/// Interval of pings that detect dead HTTP/2 peers, and time limit of the reply.
const PING: Duration = Duration::from_secs(20);
/// Age below which a new connection is not closed by a stop before its first request: the request may have been sent
/// with the connection and still be in transit.
const FRESH: Duration = Duration::from_secs(1);
/// Limits on streams that a client resets before Noren has seen them (CVE-2023-44487), and on streams that h2 resets
/// because of the client's protocol errors.
const PENDING_RESETS: usize = 20;
const ERROR_RESETS: usize = 100;

// The futures here live as long as their connections, thousands at once, and mostly idle. So each step has its space in
// a box that goes with it, and what an async block takes along is made outside of it: it would have room for both.

/// The context of an accepted connection.
pub(super) struct Arrival {
    pub(super) role: Role,
    /// The trusted proxies, if the connection comes from one of them.
    pub(super) proxies: Option<Arc<Proxies>>,
    /// The current state, with which each request is served.
    pub(super) current: Arc<ArcSwap<State>>,
    pub(super) begun: Instant,
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
                    debug!(%peer, %error, suppressed, "no TLS handshake");
                }
                if error.is_about_the_client() {
                    let who = Who {
                        peer: peer.to_string(),
                        ..Who::default()
                    };
                    let what = What::new(Kind::Connection, "the TLS handshake");
                    audit::refused(&who, &what, None, &error.to_string());
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
    let begun = Instant::now();
    let accepted = acceptor.accept(stream, state.config.limits.handshake).await;
    let accepted = accepted.transpose()?;
    match &accepted {
        Ok(_) => {
            metrics.handshakes.inc();
            let time = begun.elapsed().as_secs_f64();
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
    begun: Instant,
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
            begun,
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
            watch: None,
            unread: None,
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
            begun,
        }
    }

    fn http1(self) -> impl Future<Output = ()> + Send {
        let limits = &self.state.config.limits;
        let activity = self.context.activity.clone();
        let transport =
            self.transport
                .with_head_limit(limits.head, limits.keep_alive, activity.clone());
        let service = Http1Service::new(self.current, self.context, self.role, &transport);
        let drain = Drain::new(&self.shutdown, self.state.config.server.drain);
        let close = async move { drain.may_close(&activity).await };
        Http1::new(transport, service, limits, close)
    }

    async fn http2(mut self) {
        let watch = Watch::new(rate(&self.state.config.limits));
        self.context.watch = Some(watch.clone());
        let limits = &self.state.config.limits;
        let streams = Streams::default();
        let mut builder = http2::Builder::new(streams.clone());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.head_size).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_local_error_reset_streams(ERROR_RESETS)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        if self.state.config.bridge.http2 {
            builder.enable_connect_protocol();
        }
        let (keep_alive, body_idle) = (limits.keep_alive, limits.body_idle);
        let transport = self.transport.gathering().checking_frames();
        let activity = self.context.activity.clone();
        let share = self.state.service.unread_memory(&self.context);
        let unread = Unread::new(share, CONNECTION_WINDOW, activity.clone());
        self.context.unread = Some(unread.clone());
        let transport = transport.with_preface_limit(limits.head).counting(unread);
        let service = answer(self.current, self.context, self.role, Sent::Fenced);
        let connection = builder.serve_connection(TokioIo::new(transport), service);
        let mut connection = Multiplexed::new(connection, &streams);
        let reason = Dormant::new(async {
            tokio::select! {
                () = look_after(&watch, body_idle) => Reason::Unread,
                () = activity.many_are_abandoned() => Reason::Abandoned,
                () = idle_for(&activity, keep_alive) => Reason::Idle,
                () = may_close(&self.shutdown, self.begun) => Reason::Stop,
            }
        });
        let reason = tokio::select! {
            ended = &mut connection => return log_end(ended),
            reason = reason => reason,
        };
        let ended = match reason {
            Reason::Unread => return,
            Reason::Abandoned => {
                activity
                    .close_reason()
                    .is("the client gave up too many requests");
                debug!("the client gave up too many requests; the connection is closed");
                return;
            }
            Reason::Idle => {
                connection.change(http2::Connection::graceful_shutdown);
                // Streams whose answers were let go of would otherwise hold the connection open.
                timeout(keep_alive, connection).await.unwrap_or(Ok(()))
            }
            Reason::Stop => {
                connection.change(http2::Connection::graceful_shutdown);
                connection.await
            }
        };
        log_end(ended);
    }
}

/// Reasons to end an HTTP/2 connection.
enum Reason {
    /// Its client does not read a response.
    Unread,
    /// Its client has cancelled too many requests.
    Abandoned,
    Idle,
    Stop,
}

/// Ready once the server stops and the connection is older than [`FRESH`].
async fn may_close(shutdown: &Shutdown, begun: Instant) {
    shutdown.requested().await;
    sleep_until(begun + FRESH).await;
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

/// Drops responses that their clients do not read. Never ready.
async fn look_after(watch: &Watch, limit: Duration) {
    loop {
        sleep(limit).await;
        watch.look();
    }
}

/// Ready once no request has been in progress for `limit`. Pings keep a connection open, but do not count as use.
async fn idle_for(activity: &Activity, limit: Duration) {
    loop {
        let idle = activity.idle();
        if idle >= limit {
            return;
        }
        // A busy connection is looked at again after the whole limit, which is early enough.
        sleep(limit.saturating_sub(idle)).await;
    }
}

/// Responds to a request: the hyper service of a connection. hyper reserves the space of its future for the life of the
/// connection, and this future is large; boxed, it exists only while a request is handled, and a connection that
/// streams a channel for hours does not hold it.
///
/// Each request is served by the configuration in force when it arrives: a browser keeps its connection for hours, and
/// would otherwise continue to use routes that a reload has removed.
fn answer(
    current: Arc<ArcSwap<State>>,
    context: Context,
    role: Role,
    sent: Sent,
) -> impl hyper::service::Service<
    Request<hyper::body::Incoming>,
    Response = ServedResponse,
    Error = Infallible,
    Future = Pin<Box<dyn Future<Output = Result<ServedResponse, Infallible>> + Send>>,
> {
    let shared = Arc::new((current, context, sent));
    service_fn(move |request: Request<hyper::body::Incoming>| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (current, context, sent) = &*shared;
            let state = current.load_full();
            let limit = state.config.limits.body_idle;
            let service = Arc::clone(&state.service);
            drop(state);
            let request = request.map(|body| Incoming::new(body, context.unread.clone()));
            let response = service.respond(request, context, role).await;
            if let Some(interim) = &context.interim {
                interim.all_sent().await;
            }
            Ok(response.map(|body| AbortAfterFlush::new(body, sent.clone(), limit)))
        }) as Pin<Box<dyn Future<Output = _> + Send>>
    })
}

/// A response in the form that hyper gets.
type ServedResponse = Response<AbortAfterFlush<crate::service::ServiceBody>>;

/// Logs the end of a connection, unless it was an ordinary one.
fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(%error, "connection ended early");
    }
}
