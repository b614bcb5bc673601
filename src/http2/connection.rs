//! One HTTP/2 connection: the preface, the settings, the requests, and the end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, Builder, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request, Response};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http2::body::{Body, length};
use crate::http2::io::{Io, ReadPause, Traffic};
use crate::http2::pings::Pings;
use crate::http2::slots::{Multiplexer, Slots};
use crate::http2::stream::Stream;
use crate::http2::upgrade::Upgrade;

/// Limit on response bytes that h2 holds of a stream that cannot send them.
const SEND_BUFFER: usize = 64 * 1024;
/// Limit on streams that a client resets before Noren has seen them (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Limit on resets by h2 because of the client's protocol errors, in the life of a connection. Each frame of an upload
/// that was refused a while ago is one of them, so these are more than the window of a connection has frames.
const ERROR_RESETS: usize = 1024;
/// Limit on the bytes of a frame from the client, which is the least that RFC 9113 §4.2 permits.
const FRAME: u32 = 16 * 1024;

/// The settings of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Limit on requests in progress.
    pub streams: u32,
    /// Limit on the size of a request head.
    pub head_size: usize,
    /// Window of each stream.
    pub stream_window: u32,
    /// Window of the connection.
    pub window: u32,
    /// Time in which a client may be silent before it gets a ping, and again before its connection ends.
    pub ping: Duration,
    /// True if extended CONNECT (RFC 8441) is offered.
    pub connect: bool,
}

/// Reasons why a connection ends early.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// An error of the protocol, or of the stream below.
    #[error(transparent)]
    Protocol(#[from] h2::Error),
    /// The client has sent nothing for too long.
    #[error("the client did not answer a ping")]
    Silent,
}

/// A connection over `T`, as a future that ends with it. `S` is the service, which returns the handler of a request;
/// `F` is the handler, whose response has the body `B`. Requests that have not ended are dropped with it.
pub(crate) struct Connection<T, S, F, B> {
    server: Server<T, S>,
    streams: Multiplexer<Stream<F, B>>,
}

struct Server<T, S> {
    state: State<T>,
    service: S,
    ping: Duration,
    traffic: Arc<Traffic>,
    /// True if the connection has to end after the requests in progress.
    is_closing: bool,
}

enum State<T> {
    Handshake(Handshake<Io<T>, Bytes>),
    Open(server::Connection<Io<T>, Bytes>, Option<Pings>),
}

impl<T, S, F, B> Connection<T, S, F, B>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    /// Serves HTTP/2 on a stream, which has this pause.
    pub(crate) fn new(io: T, pause: ReadPause, settings: &Settings, service: S) -> Self {
        let mut builder = Builder::new();
        builder
            .max_concurrent_streams(settings.streams)
            .max_header_list_size(u32::try_from(settings.head_size).unwrap_or(u32::MAX))
            .max_frame_size(FRAME)
            .initial_window_size(settings.stream_window)
            .initial_connection_window_size(settings.window)
            .max_send_buffer_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_local_error_reset_streams(Some(ERROR_RESETS));
        if settings.connect {
            builder.enable_connect_protocol();
        }
        let traffic = Arc::new(Traffic::new(pause));
        let io = Io::new(io, Arc::clone(&traffic));
        Self {
            server: Server {
                state: State::Handshake(builder.handshake(io)),
                service,
                ping: settings.ping,
                traffic,
                is_closing: false,
            },
            streams: Multiplexer::new(),
        }
    }

    /// Resets the streams whose bodies this is true of.
    pub(crate) fn reset_bodies(&mut self, mut is_over: impl FnMut(&mut B) -> bool) {
        self.streams.retain(|stream| !stream.reset_if(&mut is_over));
    }

    /// Ends the connection after the requests in progress (RFC 9113 §6.8).
    pub(crate) fn shut_down(&mut self) {
        self.server.is_closing = true;
        if let State::Open(connection, _) = &mut self.server.state {
            connection.graceful_shutdown();
        }
        self.streams.wake_connection();
    }
}

impl<T, S> Server<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    /// Reads and writes frames, and opens a slot for each new request. Ready at the end of the connection.
    fn poll<F, B>(
        &mut self,
        cx: &mut Context<'_>,
        slots: &mut Slots<Stream<F, B>>,
    ) -> Poll<Result<(), Error>>
    where
        S: FnMut(Request<Body>) -> F,
    {
        self.traffic.begin();
        loop {
            match &mut self.state {
                State::Handshake(handshake) => {
                    let mut connection = ready!(Pin::new(handshake).poll(cx))?;
                    if self.is_closing {
                        connection.graceful_shutdown();
                    }
                    let pings = connection.ping_pong();
                    let traffic = Arc::clone(&self.traffic);
                    let pings = pings.map(|pings| Pings::new(pings, traffic, self.ping));
                    self.state = State::Open(connection, pings);
                }
                State::Open(connection, pings) => {
                    if let Some(pings) = pings
                        && pings.poll_dead(cx).is_ready()
                    {
                        connection.abrupt_shutdown(Reason::NO_ERROR);
                        // There is no use in waiting until it can be written.
                        let _ = connection.poll_closed(cx);
                        return Poll::Ready(Err(Error::Silent));
                    }
                    while let Some(accepted) = ready!(connection.poll_accept(cx)) {
                        begin(&mut self.service, accepted?, slots);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

/// Opens a slot for a request.
fn begin<S, F, B>(
    service: &mut S,
    (request, mut response): (Request<RecvStream>, SendResponse<Bytes>),
    slots: &mut Slots<Stream<F, B>>,
) where
    S: FnMut(Request<Body>) -> F,
{
    let (parts, received) = request.into_parts();
    let is_connect = parts.method == Method::CONNECT;
    if is_connect && length(&parts.headers).is_some_and(|length| length > 0) {
        response.send_reset(Reason::PROTOCOL_ERROR);
        return;
    }
    slots.open(|queue| {
        let interim = queue.begin();
        let (upgrade, body) = if is_connect {
            let (upgrade, accepted) = Upgrade::new(received);
            (Some(upgrade), Body::of_connect(accepted, interim))
        } else {
            (None, Body::new(received, &parts.headers, interim))
        };
        let handler = service(Request::from_parts(parts, body));
        Stream::new(handler, response, queue.clone(), upgrade)
    });
}

impl<T, S, F, B> Future for Connection<T, S, F, B>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: FnMut(Request<Body>) -> F + Unpin,
    F: Future<Output = Response<B>> + Unpin,
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { server, streams } = self.get_mut();
        streams.poll(cx, |cx, slots| server.poll(cx, slots))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "what a test spawns ends with its runtime"
)]
mod tests;
