//! The app: its connections, and the slots its workers are counted by.
//!
//! A request takes a slot, then a connection: one of the pool, or a new one. Both stay with the answer until
//! its body ends, whether or not its client still waits for it, and then go back. Knows nothing of routes, and
//! changes no header.

mod answer;
mod connection;
mod line;
mod payload;
mod pool;
mod queue;
mod running;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::config;
use crate::http::{BoxError, Stall};
use crate::net::{ConnectError, connect};
use crate::shutdown::Shutdown;

pub use answer::Answer;
pub use payload::Payload;
pub use queue::Asker;

use connection::{Connection, SendError};
use pool::Pool;
use queue::{Queue, Slot};
use running::{Ended, Running};

/// The app behind the door.
#[derive(Debug)]
pub struct Upstream {
    settings: config::App,
    queue: Queue,
    pool: Pool,
    tasks: Shutdown,
}

/// Why there is no answer of the app.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// All workers are busy, and as many requests wait as may.
    #[error("{0} requests wait for the app already")]
    QueueFull(usize),
    /// All workers were busy for as long as a request may wait.
    #[error("no worker of the app was free within {0:?}")]
    QueueSlow(Duration),
    /// The app could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It did not begin to answer.
    #[error("the app did not begin to answer within {0:?}")]
    Slow(Duration),
    /// It broke the connection, or its answer is not HTTP.
    #[error("the app broke the exchange: {0}")]
    Broken(#[source] BoxError),
}

impl Upstream {
    /// An app with no connection yet. `tasks` runs what clients leave behind. Among `before` may be the same app
    /// with other settings: its workers go on being counted.
    #[must_use]
    pub fn new(settings: config::App, before: &[Arc<Self>], tasks: &Shutdown) -> Arc<Self> {
        let is_same = |other: &&Arc<Self>| {
            (&other.settings.name, &other.settings.url) == (&settings.name, &settings.url)
        };
        let (workers, most, wait) = (settings.workers, settings.queue, settings.queue_wait);
        let queue = if let Some(same) = before.iter().find(is_same) {
            same.queue.set_limits(workers, most, wait);
            same.queue.clone()
        } else {
            Queue::new(workers, most, wait)
        };
        Arc::new(Self {
            queue,
            pool: Pool::new(settings.keep_alive),
            settings,
            tasks: tasks.clone(),
        })
    }

    /// The settings this was made of.
    #[must_use]
    pub fn settings(&self) -> &config::App {
        &self.settings
    }

    /// Closes the connections that were idle for too long. To be called about once a second: an idle
    /// connection may hold a worker of the app.
    pub fn close_idle(&self) {
        self.pool.close_old();
    }

    /// Sends a request for `asker` and waits for the head of the answer.
    ///
    /// If a connection of the pool breaks before anything came back, the request is sent once more on a new
    /// one, provided that it did not leave, or that it may be repeated (RFC 9110 §9.2.2).
    ///
    /// # Errors
    /// [`UpstreamError`] says how far it came.
    pub async fn send(
        self: &Arc<Self>,
        request: Request<Payload>,
        asker: Asker<'_>,
    ) -> Result<Response<Answer>, UpstreamError> {
        let came = Instant::now();
        let slot = self.queue.slot(asker, request.headers()).await?;
        let begun = Instant::now();
        let answer = self.ask(request, slot).await;
        if let Some(times) = asker.times {
            times.queued(begun.duration_since(came));
            times.answered(begun.elapsed());
        }
        answer
    }

    async fn ask(
        self: &Arc<Self>,
        mut request: Request<Payload>,
        mut slot: Slot,
    ) -> Result<Response<Answer>, UpstreamError> {
        let repeatable = is_idempotent(request.method());
        if let Some(connection) = self.pool.take(repeatable) {
            let copy = if repeatable {
                payload::copy(&request)
            } else {
                None
            };
            match self.exchange(connection, request, slot).await? {
                Ok(response) => return Ok(response),
                Err((failed, back)) => {
                    slot = back;
                    request = again(failed, copy)?;
                }
            }
        }
        let connection = Connection::open(&self.settings).await?;
        let ended = self.exchange(connection, request, slot).await?;
        ended.map_err(|(failed, _)| broken(failed.error))
    }

    /// One exchange on one connection. From here on the app may be at work.
    fn exchange(
        self: &Arc<Self>,
        mut connection: Connection,
        request: Request<Payload>,
        slot: Slot,
    ) -> Running {
        let upstream = Arc::clone(self);
        let exchange = async move {
            let upload = payload::passed_on(&request);
            let sent = upstream.first_byte(connection.send(request), upload);
            let ended: Ended = match sent.await? {
                Ok(response) => Ok(Ok(upstream.answer(response, connection, slot))),
                Err(failed) => Ok(Err((failed, slot))),
            };
            ended
        };
        Running::new(exchange, &self.tasks)
    }

    /// Sends an upgrade request on a connection of its own, which leaves HTTP if the app agrees. `tasks` runs
    /// the connection until then.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn upgrade(
        self: &Arc<Self>,
        request: Request<Payload>,
        asker: Asker<'_>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        // Taken for the handshake only: how many sockets the app can hold afterwards is its own affair.
        let _slot = self.queue.slot(asker, request.headers()).await?;
        let socket = connect(&self.settings.url, self.settings.connect).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(broken)?;
        self.tasks.spawn(async move {
            // An error here appears in the exchange as well, where it is reported.
            let _ = connection.with_upgrades().await;
        });
        self.first_byte(sender.send_request(request), None)
            .await?
            .map_err(broken)
    }

    /// Waits for the answer, from the end of the request on. `upload` grows as the app takes the body; as long
    /// as it does, the time has not begun.
    async fn first_byte<F: Future>(
        &self,
        exchange: F,
        upload: Option<Arc<AtomicU64>>,
    ) -> Result<F::Output, UpstreamError> {
        let mut waiting = Stall::new(self.settings.response);
        let mut taken = 0;
        let mut exchange = pin!(exchange);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = exchange.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            let now = upload
                .as_ref()
                .map_or(0, |upload| upload.load(Ordering::Relaxed));
            if std::mem::replace(&mut taken, now) != now {
                waiting.progressed();
            }
            if waiting.waited(cx) {
                return Poll::Ready(Err(UpstreamError::Slow(waiting.limit())));
            }
            Poll::Pending
        })
        .await
    }

    fn answer(
        self: &Arc<Self>,
        response: Response<Incoming>,
        connection: Connection,
        slot: Slot,
    ) -> Response<Answer> {
        let (head, body) = response.into_parts();
        let answer = Answer::new(&head.headers, body, connection, slot, Arc::clone(self));
        Response::from_parts(head, answer)
    }

    fn take_back(&self, connection: Connection) {
        self.pool.put(connection);
    }
}

/// The request for another try, if there may be one.
fn again(
    failed: SendError,
    copy: Option<Request<Payload>>,
) -> Result<Request<Payload>, UpstreamError> {
    match (failed.unsent, copy) {
        (Some(unsent), _) => Ok(*unsent),
        (None, Some(copy)) if nothing_came_back(&failed.error) => Ok(copy),
        _ => Err(broken(failed.error)),
    }
}

fn broken(error: impl Into<BoxError>) -> UpstreamError {
    UpstreamError::Broken(error.into())
}

fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    )
}

/// True if the app closed the connection without a byte of an answer: it was about to close it as idle.
fn nothing_came_back(error: &BoxError) -> bool {
    let closed = |kind| {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        matches!(kind, BrokenPipe | ConnectionReset | NotConnected)
    };
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        let source =
            std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
        return error.is_canceled()
            || error.is_closed()
            || error.is_incomplete_message()
            || source.is_some_and(|source| closed(source.kind()));
    }
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| closed(error.kind()))
}
