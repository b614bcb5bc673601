//! A connection of HTTP/1.1: requests are read and answered by hyper, except that the rest of an event stream is
//! written without it, so that the buffers of hyper are free while the stream is idle.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use hyper::server::conn::http1::{Builder, Parts, UpgradeableConnection};
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite as _;
use tracing::debug;

use crate::config::Limits;
use crate::http::{
    AbortAfterFlush, BoxError, ChunkedResponse, DetachRule, Detachable, Detachment, Flushes,
    Incoming, Sent, Transport,
};
use crate::server::dormant::Dormant;
use crate::server::responder::Responder;
use crate::service::ServiceBody;

/// A connection, as a future that ends with it.
pub(super) struct Http1<C> {
    stage: Stage,
    /// Ready when an idle connection may be closed.
    close: Dormant<C>,
    closes: bool,
    limits: HeadLimits,
    detachment: Detachment<ServiceBody>,
}

/// The limits on request heads.
#[derive(Clone, Copy, Debug)]
struct HeadLimits {
    size: usize,
    lines: usize,
}

/// The program that uses the transport.
enum Stage {
    Requests(Box<UpgradeableConnection<TokioIo<Transport>, Http1Service>>),
    Stream(Box<Stream>),
    Ended,
}

/// An event stream that was taken from hyper.
struct Stream {
    // Declared first and so dropped first: when its client has left, the stream's place is free at once.
    response: ChunkedResponse<AbortAfterFlush<ServiceBody>>,
    transport: Transport,
    service: Http1Service,
    /// True if the connection ends with the response.
    is_last: bool,
    /// True once all of it is written, and the connection is being closed.
    is_written: bool,
}

/// The hyper service of a connection. Its future is boxed, and so takes space only while a request is handled; and each
/// request is served by the configuration in force when it arrives, as over HTTP/2.
#[derive(Clone)]
pub(super) struct Http1Service(Arc<Shared>);

struct Shared {
    responder: Responder,
    flushes: Flushes,
    detachment: Detachment<ServiceBody>,
}

impl Http1Service {
    pub(super) fn new(responder: Responder, transport: &Transport) -> Self {
        Self(Arc::new(Shared {
            responder,
            flushes: transport.flushes(),
            detachment: Detachment::default(),
        }))
    }
}

type ServedResponse = Response<AbortAfterFlush<Detachable<ServiceBody>>>;

impl Service<Request<hyper::body::Incoming>> for Http1Service {
    type Response = ServedResponse;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<ServedResponse, Infallible>> + Send>>;

    fn call(&self, request: Request<hyper::body::Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let rule = DetachRule::of(&request);
            let request = request.map(Incoming::from);
            let Responder { context, role, .. } = &shared.responder;
            let (service, limit) = shared.responder.service();
            let response = service.respond(request, context, *role).await;
            if let Some(interim) = &context.interim {
                interim.all_sent().await;
            }
            let response = shared.detachment.share(response, rule, &shared.flushes);
            let sent = Sent::Flushed(shared.flushes.clone());
            Ok(response.map(|body| AbortAfterFlush::new(body, sent, limit)))
        })
    }
}

impl<C: Future<Output = ()>> Http1<C> {
    /// Serves the requests that arrive on a transport, until `close` is ready and no response is in progress.
    pub(super) fn new(
        transport: Transport,
        service: Http1Service,
        limits: &Limits,
        close: C,
    ) -> Self {
        let limits = HeadLimits {
            size: limits.head_size,
            lines: limits.headers,
        };
        let detachment = service.0.detachment.clone();
        Self {
            stage: Stage::requests(transport, service, limits),
            close: Dormant::new(close),
            closes: false,
            limits,
            detachment,
        }
    }

    /// Runs the current program. Ready with the next one, or once the connection has ended.
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Stage>, BoxError>> {
        match &mut self.stage {
            Stage::Requests(connection) => {
                if let Poll::Ready(ended) = Pin::new(&mut **connection).poll(cx) {
                    return Poll::Ready(ended.map(|()| None).map_err(BoxError::from));
                }
                let Some((body, is_last)) = self.detachment.take(cx) else {
                    return Poll::Pending;
                };
                let requests = std::mem::replace(&mut self.stage, Stage::Ended);
                Poll::Ready(Ok(requests.stream(body, is_last)))
            }
            Stage::Stream(stream) => {
                let received = ready!(stream.poll(self.closes, cx))?;
                let Stage::Stream(stream) = std::mem::replace(&mut self.stage, Stage::Ended) else {
                    return Poll::Ready(Ok(None));
                };
                Poll::Ready(Ok(received.map(|received| {
                    let transport = stream.transport.with_received(received);
                    Stage::requests(transport, stream.service, self.limits)
                })))
            }
            Stage::Ended => Poll::Ready(Ok(None)),
        }
    }
}

impl<C: Future<Output = ()>> Future for Http1<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if !this.closes && Pin::new(&mut this.close).poll(cx).is_ready() {
            this.closes = true;
            if let Stage::Requests(connection) = &mut this.stage {
                Pin::new(&mut **connection).graceful_shutdown();
            }
        }
        loop {
            match ready!(this.poll_stage(cx)) {
                Ok(Some(next)) => this.stage = next,
                Ok(None) => return Poll::Ready(()),
                Err(error) => {
                    debug!(%error, "connection ended early");
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl Stage {
    /// Lets hyper read the requests that follow.
    fn requests(transport: Transport, service: Http1Service, limits: HeadLimits) -> Self {
        let mut builder = Builder::new();
        builder
            .header_read_timeout(None)
            .max_header_size(limits.size)
            .title_case_headers(true)
            .max_headers(limits.lines);
        let connection = builder.serve_connection(TokioIo::new(transport), service);
        Self::Requests(Box::new(connection.with_upgrades()))
    }

    /// Takes the transport from hyper, which has written the first bytes of this body.
    fn stream(self, body: ServiceBody, is_last: bool) -> Option<Self> {
        let Self::Requests(connection) = self else {
            return None;
        };
        let Parts {
            io,
            read_buf,
            service,
            ..
        } = connection.into_parts()?;
        let (_, limit) = service.0.responder.service();
        let sent = Sent::Flushed(service.0.flushes.clone());
        let body = AbortAfterFlush::new(body, sent, limit);
        Some(Self::Stream(Box::new(Stream {
            response: ChunkedResponse::new(body, &read_buf),
            transport: io.into_inner(),
            service,
            is_last,
            is_written: false,
        })))
    }
}

impl Stream {
    /// Writes the response, and then closes the connection if it is the last one. Ready with the bytes of the next
    /// requests, or `None` after the last one.
    fn poll(&mut self, closes: bool, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if !self.is_written {
            let received = ready!(self.response.poll(&mut self.transport, cx))?;
            if !self.is_last && !closes {
                return Poll::Ready(Ok(Some(received)));
            }
            self.is_written = true;
        }
        let ended = Pin::new(&mut self.transport).poll_shutdown(cx);
        ended.map_ok(|()| None)
    }
}

impl<C> fmt::Debug for Http1<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1").finish_non_exhaustive()
    }
}
