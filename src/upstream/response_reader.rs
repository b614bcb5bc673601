//! Reader of the app's response. It holds the connection and the worker permit until the response ends, even if the
//! response is abandoned.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{sleep, timeout};

use crate::http::{BoxError, Stall};
use crate::shutdown::Shutdown;
use crate::upstream::Upstream;
use crate::upstream::connection::{Connection, HangUp};
use crate::upstream::workers::WorkerPermit;

/// Number of bytes read before the head is sent to the client, so that most pages are sent complete with it.
const READ_AHEAD: usize = 64 * 1024;

/// Limits on an abandoned response, in bytes and in time. Beyond them its connection is closed, which the app notices
/// at its next write.
const ABANDONED_BYTES: usize = 16 * 1024 * 1024;
const ABANDONED_TIME: Duration = Duration::from_secs(10);

/// Time limit for an app to notice that its connection has changed.
const CLOSE_NOTICE_LIMIT: Duration = Duration::from_millis(50);

static BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The body of a response, with the resources it occupies at the app.
pub(super) struct Source {
    /// The exchange; `None` when it has ended.
    exchange: Option<Exchange>,
    is_endless: bool,
    /// True if the response is abandoned, and read only to free the worker.
    is_unwanted: bool,
}

struct Exchange {
    idle: Stall,
    connection: Connection,
    upstream: Arc<Upstream>,
    permit: WorkerPermit,
    /// Arrival time of the latest piece, and its distance from the one before it.
    latest: Instant,
    pause: Duration,
}

/// The part of a response that has arrived when its head is sent.
pub(super) struct Beginning {
    pub(super) pieces: VecDeque<Bytes>,
    pub(super) end: End,
}

/// The state of a response after its beginning.
pub(super) enum End {
    /// The response is complete: the worker is free already.
    Complete,
    /// The response continues.
    Open(Box<Source>),
    /// The app broke off the response.
    Broken(BoxError),
}

impl Source {
    /// Creates the reader of the body that belongs to `headers`, which have just arrived.
    pub(super) fn new(
        headers: &HeaderMap,
        connection: Connection,
        permit: WorkerPermit,
        upstream: Arc<Upstream>,
        now: Instant,
    ) -> Self {
        Self {
            exchange: Some(Exchange {
                idle: Stall::new(upstream.settings.response_idle),
                connection,
                upstream,
                permit,
                latest: now,
                pause: Duration::ZERO,
            }),
            is_endless: is_endless(headers),
            is_unwanted: false,
        }
    }

    /// True if the response is streamed piece by piece while the client reads.
    pub(super) fn is_endless(&self) -> bool {
        self.is_endless
    }

    /// Reads what is available without waiting.
    pub(super) fn begin(mut self, cx: &mut Context<'_>) -> Beginning {
        let mut pieces = VecDeque::new();
        let mut bytes = 0;
        let end = loop {
            if self.is_end_stream() {
                // The head has come a moment ago, and everything else with it.
                let now = self.exchange.as_ref().map(|exchange| exchange.latest);
                self.finish(now);
                break End::Complete;
            }
            if bytes >= READ_AHEAD {
                break End::Open(Box::new(self));
            }
            match self.next(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    bytes += piece.len();
                    pieces.push_back(piece);
                }
                Poll::Ready(Some(Err(error))) => break End::Broken(error),
                Poll::Ready(None) => break End::Complete,
                Poll::Pending => break End::Open(Box::new(self)),
            }
        };
        Beginning { pieces, end }
    }

    /// Returns the next piece; `None` at the end, when connection and permit are released.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let piece = ready!(self.next(cx));
        if let (Some(Ok(_)), Some(exchange)) = (&piece, &mut self.exchange) {
            exchange.pause = exchange.latest.elapsed();
            exchange.latest += exchange.pause;
            exchange
                .permit
                .backend()
                .shared
                .watch
                .record_bytes(exchange.latest);
        }
        Poll::Ready(piece)
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let Some(exchange) = &mut self.exchange else {
            return Poll::Ready(None);
        };
        match exchange.connection.poll_body(cx) {
            Poll::Ready(Some(Ok(data))) => {
                exchange.idle.progressed();
                return Poll::Ready(Some(Ok(data)));
            }
            Poll::Ready(Some(Err(error))) => {
                let text = format!("the app broke off in the middle of its answer: {error}");
                return self.fail(text);
            }
            Poll::Ready(None) => {
                self.finish(None);
                return Poll::Ready(None);
            }
            Poll::Pending => {}
        }
        if exchange.idle.waited(cx) {
            return self.fail(io::Error::new(
                io::ErrorKind::TimedOut,
                "the app stopped in the middle of its answer",
            ));
        }
        Poll::Pending
    }

    /// A handle to close the app's connection while it is in use.
    pub(super) fn hang_up(&self) -> HangUp {
        let exchange = self.exchange.as_ref();
        exchange.map_or_else(HangUp::default, |exchange| exchange.connection.hang_up())
    }

    /// Shuts down the sending side at once.
    pub(super) fn finish_sending(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.connection.hang_up().finish();
            let now = &mut Context::from_waker(Waker::noop());
            exchange.connection.poll_hang_up(now);
        }
    }

    /// Time between the two latest pieces.
    pub(super) fn pause(&self) -> Duration {
        let exchange = self.exchange.as_ref();
        exchange.map_or(Duration::ZERO, |exchange| exchange.pause)
    }

    /// Closes the app's connection; returns the permit.
    pub(super) fn close(&mut self) -> Option<WorkerPermit> {
        self.exchange.take().map(|exchange| exchange.permit)
    }

    /// Number of bytes that have not arrived yet, if it is known.
    pub(super) fn left(&self) -> Option<u64> {
        let exchange = self.exchange.as_ref();
        exchange.map_or(Some(0), |exchange| exchange.connection.left())
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let exchange = self.exchange.as_ref();
        exchange.is_none_or(|exchange| exchange.connection.is_end())
    }

    /// Continues an exchange as an abandoned one.
    fn abandon(exchange: Exchange) -> Self {
        Self {
            exchange: Some(exchange),
            is_endless: false,
            is_unwanted: true,
        }
    }

    /// Releases the permit, and the connection too if the exchange is complete on both sides.
    fn finish(&mut self, now: Option<Instant>) {
        if let Some(Exchange {
            connection, permit, ..
        }) = self.exchange.take()
        {
            let now = now.unwrap_or_else(Instant::now);
            permit.backend().take_back(connection, now);
        }
    }

    fn fail(&mut self, error: impl Into<BoxError>) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.exchange = None;
        Poll::Ready(Some(Err(error.into())))
    }
}

/// True if the app declares an endless response: it ends only with its connection, and the client waits for each of its
/// pieces.
fn is_endless(headers: &HeaderMap) -> bool {
    let begins = |name: &HeaderName, text: &[u8]| {
        let value = headers.get(name).map(HeaderValue::as_bytes);
        let start = value.and_then(|value: &[u8]| value.get(..text.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    begins(&CONTENT_TYPE, b"text/event-stream") || begins(&BUFFERING, b"no")
}

impl Drop for Source {
    fn drop(&mut self) {
        let notices = |exchange: &Exchange| !exchange.upstream.settings.ignore_client_abort;
        let is_told = !self.is_end_stream() && !self.is_unwanted;
        if is_told && let Some(exchange) = self.exchange.take_if(|exchange| notices(exchange)) {
            let tasks = exchange.upstream.tasks.clone();
            hang_up(Self::abandon(exchange), &tasks);
        } else if self.is_end_stream() || self.is_endless || self.is_unwanted {
            // In the middle of a body the connection is not idle, and is closed.
            self.finish(None);
        } else if let Some(exchange) = self.exchange.take() {
            let tasks = exchange.upstream.tasks.clone();
            read_abandoned(Self::abandon(exchange), &tasks);
        }
    }
}

/// Reads the rest of an abandoned response in its own task, so that the worker becomes free.
fn read_abandoned(source: Source, tasks: &Shutdown) {
    let stop = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            _ = timeout(ABANDONED_TIME, discard(source)) => {}
            () = stop.requested() => {}
        }
    });
}

/// Notifies the app that the client has left, and holds the permit until it has noticed.
fn hang_up(mut source: Source, tasks: &Shutdown) {
    source.finish_sending();
    let stop = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = wait_until_noticed(source) => {}
            () = stop.requested() => {}
        }
    });
}

/// Waits until the app has noticed, for at most the time that it may be silent within a response (`response-idle`).
async fn wait_until_noticed(mut source: Source) {
    let started_at = Instant::now();
    let mut left = ABANDONED_BYTES;
    while let Some(Ok(piece)) = poll_fn(|cx| source.poll(cx)).await {
        // Bytes in flight do not show that the app has noticed anything.
        let rest = left.checked_sub(piece.len());
        if rest.is_none() || started_at.elapsed() >= CLOSE_NOTICE_LIMIT {
            let pause = source.pause();
            source.hang_up().reset();
            let permit = source.close();
            sleep((pause * 2).min(ABANDONED_TIME)).await;
            drop(permit);
            return;
        }
        left = rest.unwrap_or_default();
    }
}

async fn discard(mut source: Source) {
    let mut left = ABANDONED_BYTES;
    while let Some(Ok(piece)) = poll_fn(|cx| source.poll(cx)).await {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
