//! The app: its connections, and the slots its workers are counted by.
//!
//! A request takes a slot, then a connection: one of the pool, or a new one. Both stay with the answer until
//! its body ends, and then go back. Knows nothing of routes, and changes no header.

mod answer;
mod connection;
mod payload;
mod pool;
mod queue;
mod reached;
mod set;

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
use crate::telemetry::{AppMetrics, Failure};

pub use answer::Answer;
pub use payload::Payload;
pub use queue::Load;
pub use set::Apps;

use connection::{Connection, SendError};
use pool::Pool;
use queue::Queue;
use reached::Reached;

/// The app behind the door.
#[derive(Debug)]
pub struct Upstream {
    settings: config::App,
    metrics: AppMetrics,
    reached: Reached,
    queue: Queue,
    pool: Pool,
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

impl UpstreamError {
    /// What it is counted as.
    fn failure(&self) -> Failure {
        match self {
            Self::QueueFull(_) => Failure::QueueFull,
            Self::QueueSlow(_) => Failure::QueueSlow,
            Self::Connect(_) => Failure::Connect,
            Self::Slow(_) => Failure::Slow,
            Self::Broken(_) => Failure::Broken,
        }
    }
}

impl Upstream {
    /// An app with no connection yet.
    #[must_use]
    pub fn new(settings: config::App, metrics: AppMetrics) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(settings.workers, settings.queue, settings.queue_wait),
            pool: Pool::new(settings.keep_alive),
            reached: Reached::default(),
            metrics,
            settings,
        })
    }

    /// The settings this was made of.
    #[must_use]
    pub fn settings(&self) -> &config::App {
        &self.settings
    }

    /// What is counted of this app.
    #[must_use]
    pub fn metrics(&self) -> &AppMetrics {
        &self.metrics
    }

    /// How busy it is now.
    #[must_use]
    pub fn load(&self) -> Load {
        self.queue.load()
    }

    /// Whether it can be reached: as the requests of the last seconds say, or else by connecting to it once.
    pub async fn is_reachable(&self) -> bool {
        if let Some(reached) = self.reached.recently() {
            return reached;
        }
        let reached = connect(&self.settings.url, self.settings.connect).await;
        self.reached.note(reached.is_ok());
        reached.is_ok()
    }

    /// Closes the connections that were idle for too long. To be called about once a second: an idle
    /// connection may hold a worker of the app.
    pub fn close_idle(&self) {
        self.pool.close_old();
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// If a connection of the pool breaks before anything came back, the request is sent once more on a new
    /// one, provided that it did not leave, or that it may be repeated (RFC 9110 §9.2.2).
    ///
    /// # Errors
    /// [`UpstreamError`] says how far it came.
    pub async fn send(
        self: &Arc<Self>,
        request: Request<Payload>,
    ) -> Result<Response<Answer>, UpstreamError> {
        let slot = self.slot().await?;
        let sent = Instant::now();
        let answered = self.exchange(request, slot).await;
        self.note(answered.as_ref().err());
        if answered.is_ok() {
            self.metrics.answered(sent.elapsed());
        }
        answered
    }

    /// A worker, and the time it took to get one.
    async fn slot(&self) -> Result<queue::Slot, UpstreamError> {
        let came = Instant::now();
        let slot = self.queue.slot().await;
        match &slot {
            Ok(_) => self.metrics.waited(came.elapsed()),
            Err(error) => self.metrics.failed(error.failure()),
        }
        slot
    }

    /// How an exchange went.
    fn note(&self, error: Option<&UpstreamError>) {
        match error {
            None => self.reached.note(true),
            Some(error) => {
                self.metrics.failed(error.failure());
                if matches!(error, UpstreamError::Connect(_)) {
                    self.reached.note(false);
                }
            }
        }
    }

    async fn exchange(
        self: &Arc<Self>,
        mut request: Request<Payload>,
        slot: queue::Slot,
    ) -> Result<Response<Answer>, UpstreamError> {
        let repeatable = is_idempotent(request.method());
        if let Some(mut connection) = self.pool.take(repeatable) {
            let copy = if repeatable {
                payload::copy(&request)
            } else {
                None
            };
            let upload = payload::passed_on(&request);
            match self.first_byte(connection.send(request), upload).await? {
                Ok(response) => return Ok(self.answer(response, connection, slot)),
                Err(SendError {
                    unsent: Some(unsent),
                    ..
                }) => request = unsent,
                Err(SendError { error, .. }) => match copy {
                    Some(copy) if nothing_came_back(&error) => request = copy,
                    _ => return Err(broken(error)),
                },
            }
        }
        let mut connection = Connection::open(&self.settings).await?;
        let upload = payload::passed_on(&request);
        match self.first_byte(connection.send(request), upload).await? {
            Ok(response) => Ok(self.answer(response, connection, slot)),
            Err(SendError { error, .. }) => Err(broken(error)),
        }
    }

    /// Sends an upgrade request on a connection of its own, which leaves HTTP if the app agrees. `tasks` runs
    /// the connection until then.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn upgrade(
        self: &Arc<Self>,
        request: Request<Payload>,
        tasks: &Shutdown,
    ) -> Result<Response<Incoming>, UpstreamError> {
        // Taken for the handshake only: how many sockets the app can hold afterwards is its own affair.
        let _slot = self.slot().await?;
        let upgraded = self.agree(request, tasks).await;
        self.note(upgraded.as_ref().err());
        upgraded
    }

    async fn agree(
        &self,
        request: Request<Payload>,
        tasks: &Shutdown,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let socket = connect(&self.settings.url, self.settings.connect).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(broken)?;
        tasks.spawn(async move {
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
        slot: queue::Slot,
    ) -> Response<Answer> {
        let (head, body) = response.into_parts();
        let answer = Answer::new(body, connection, slot, Arc::clone(self));
        Response::from_parts(head, answer)
    }

    fn take_back(&self, connection: Connection) {
        self.pool.put(connection);
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
