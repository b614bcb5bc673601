//! The app: its connections, and the permits that count its workers.
//!
//! A request takes a worker permit, then a connection: one of the pool, or a new one. Both stay with the response
//! until its body has arrived, whether its client reads it, is slow, or has left, and then go back. Independent of
//! routes; changes no header.

mod abandoned;
mod condition;
mod connection;
mod fair_queue;
mod h1;
mod health;
mod pool;
mod reachability;
mod registry;
mod request_body;
mod response;
mod response_buffer;
mod response_reader;
mod restart_wait;
mod slow_clients;
mod status;
mod upload;
mod workers;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::config;
use crate::http::{BoxError, Budget, InterimSink, Stall};
use crate::shares::{Client, Denied, Share, Shares};
use crate::shutdown::Shutdown;
use crate::spool::Spool;
use crate::telemetry::AppMetrics;
use crate::tls::{Connector, DialError, Outgoing, dial, explain_alert};

pub use registry::Apps;
pub use request_body::Payload;
pub use response::Answer;
pub use status::Load;
pub use workers::Asker;

use abandoned::{Ended, Failed, Running};
use connection::Connection;
use health::Health;
use pool::Pool;
use reachability::Reachability;
use response_reader::Source;
use restart_wait::{RestartWait, nobody_is_there};
use slow_clients::SlowClients;
use workers::{Queue, Slot};

/// The app behind Noren.
#[derive(Debug)]
pub struct Upstream {
    settings: config::App,
    /// None for plain HTTP.
    tls: Option<Connector>,
    metrics: AppMetrics,
    reached: Reachability,
    watch: Arc<condition::Watch>,
    queue: Queue,
    pool: Pool,
    spool: Spool,
    lagging: SlowClients,
    away: RestartWait,
    health: Option<Health>,
    /// Workers that uploads may occupy while they arrive.
    uploads: Shares,
    tasks: Shutdown,
}

/// Reasons why the app gives no response.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// All workers are busy, and the queue is full.
    #[error("{0} requests wait for the app already")]
    QueueFull(usize),
    /// All workers were busy for as long as a request may wait.
    #[error("no worker of the app was free within {0:?}")]
    QueueSlow(Duration),
    /// The app could not be connected.
    #[error(transparent)]
    Connect(#[from] DialError),
    /// The health check of the app fails.
    #[error("the app does not answer {0} as a healthy one does")]
    Unwell(String),
    /// The response did not begin in time.
    #[error("the app did not begin to answer within {0:?}")]
    Slow(Duration),
    /// The app broke the connection, or its response is not HTTP.
    #[error("the app broke the exchange: {0}")]
    Broken(#[source] BoxError),
}

impl Upstream {
    /// Creates an app without connections, whose responses are not buffered and for whose restart nothing waits.
    /// `tasks` and `before` are those of [`with_spool`](Self::with_spool).
    #[must_use]
    pub fn new(
        settings: config::App,
        tls: Option<&Connector>,
        metrics: AppMetrics,
        before: &[Arc<Self>],
        tasks: &Shutdown,
    ) -> Arc<Self> {
        let settings = config::App {
            response_spool: false,
            restart_wait: Duration::ZERO,
            health_path: None,
            ..settings
        };
        let nowhere = Spool::new(config::Spool::default(), &config::Limits::default(), None);
        Self::with_spool(settings, tls, metrics, &nowhere, before, tasks)
    }

    /// Creates an app without connections. Its responses wait in the spool for slow clients; `tasks` runs the
    /// tasks that buffer them, and those that finish abandoned exchanges. `before` may contain the same app with
    /// other settings: the count of its busy workers continues.
    #[must_use]
    pub fn with_spool(
        settings: config::App,
        tls: Option<&Connector>,
        metrics: AppMetrics,
        spool: &Spool,
        before: &[Arc<Self>],
        tasks: &Shutdown,
    ) -> Arc<Self> {
        let is_same = |other: &&Arc<Self>| {
            let place = |app: &config::App| (app.name.clone(), app.url.endpoint.clone());
            place(&other.settings) == place(&settings)
        };
        let (workers, most, wait) = (settings.workers, settings.queue, settings.queue_wait);
        let streaming = (workers / 2).max(1) as u64;
        let same = before.iter().find(is_same);
        let watch = same.map_or_else(Arc::default, |same| Arc::clone(&same.watch));
        let (queue, uploads) = if let Some(same) = same {
            same.queue.set_limits(workers, most, wait);
            let uploads = same.uploads.resized(streaming, spool.parts());
            (same.queue.clone(), uploads)
        } else {
            let uploads = Shares::new(streaming, spool.parts());
            (Queue::new(workers, most, wait), uploads)
        };
        Arc::new(Self {
            queue,
            uploads,
            spool: spool.clone(),
            lagging: SlowClients::default(),
            away: RestartWait::new(&settings.name, settings.restart_wait),
            health: Health::new(settings.health_path.as_deref(), settings.health_interval),
            pool: Pool::new(settings.keep_alive),
            reached: Reachability::default(),
            watch,
            metrics,
            settings,
            tls: tls.cloned(),
            tasks: tasks.clone(),
        })
    }

    /// The settings of the app.
    #[must_use]
    pub fn settings(&self) -> &config::App {
        &self.settings
    }

    /// The spool for bodies that wait for slow clients.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The memory and disk budget for request bodies of this client.
    #[must_use]
    pub fn budget(&self, client: Client) -> Budget<'_> {
        Budget {
            spool: &self.spool,
            client,
            disk: self.settings.request_spool,
        }
    }

    /// Takes a permit to occupy a worker with an upload that found no room in the spool; half of the workers are
    /// reserved for other requests. Waits for it as long as for a worker. `None` if the app wants uploads
    /// unbuffered.
    ///
    /// # Errors
    /// [`Denied`] if the permits are taken, or the client has its share.
    pub async fn place_for_upload(&self, client: Client) -> Result<Option<Share>, Denied> {
        if !self.settings.request_spool {
            return Ok(None);
        }
        let wait = self.settings.queue_wait;
        self.uploads.take_within(wait, client, 1).await.map(Some)
    }

    /// Closes connections that were idle for too long. To be called about once a second: an idle connection may
    /// occupy a worker of the app.
    pub fn close_idle(&self) {
        self.pool.close_old();
    }

    /// Sends a request for `asker` and waits for the head of the answer.
    ///
    /// If a connection of the pool breaks before anything came back, the request is sent once more on a new
    /// one, provided that it did not leave, or that it may be repeated (RFC 9110 §9.2.2). The same if a new
    /// connection breaks because the app ends, which shows by nobody being there afterwards.
    ///
    /// # Errors
    /// [`UpstreamError`] says how far it came.
    pub async fn send(
        self: &Arc<Self>,
        request: Request<Payload>,
        asker: Asker<'_>,
    ) -> Result<Response<Answer>, UpstreamError> {
        self.send_with(request, asker, None).await
    }

    /// Does the same, with a receiver of interim responses.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn send_with(
        self: &Arc<Self>,
        request: Request<Payload>,
        asker: Asker<'_>,
        interim: Option<InterimSink>,
    ) -> Result<Response<Answer>, UpstreamError> {
        let answered = self.deliver(request, asker, interim).await;
        self.note(answered.as_ref().err());
        answered
    }

    async fn deliver(
        self: &Arc<Self>,
        request: Request<Payload>,
        asker: Asker<'_>,
        interim: Option<InterimSink>,
    ) -> Result<Response<Answer>, UpstreamError> {
        let slot = self.slot(asker, request.headers()).await?;
        let begun = asker.times.map(|_| Instant::now());
        let client = Client {
            address: asker.address,
            session: None,
        };
        let answered = self.ask(request, slot, client, interim).await;
        if let (Some(times), Some(begun)) = (asker.times, begun) {
            times.answered(begun.elapsed());
        }
        answered
    }

    async fn ask(
        self: &Arc<Self>,
        mut request: Request<Payload>,
        mut slot: Slot,
        client: Client,
        interim: Option<InterimSink>,
    ) -> Result<Response<Answer>, UpstreamError> {
        self.be_well().await?;
        let repeatable = is_idempotent(request.method());
        let mut copies = usize::from(repeatable);
        let mut pooled = self.pool.take(repeatable);
        loop {
            let fresh = pooled.is_none();
            let connection = match pooled.take() {
                Some(connection) => connection,
                None => Connection::over(self.connect().await?),
            };
            let copy = if copies > 0 {
                request_body::copy(request.body())
            } else {
                None
            };
            let exchange = self.exchange(connection, request, slot, client, interim.clone());
            let failed = match exchange.await? {
                Ok(response) => return Ok(response),
                Err(back) => {
                    let back = *back;
                    (request, slot) = (back.request, back.slot);
                    back.failed
                }
            };
            let again = match failed.unsent {
                Some(unsent) if !fresh => Some(unsent),
                _ if copy.is_none() || !failed.nothing_came_back => None,
                _ if fresh && !self.has_ended().await => None,
                _ => {
                    copies = 0;
                    copy
                }
            };
            *request.body_mut() = again.ok_or_else(|| broken(failed.error))?;
        }
    }

    /// Waits for an unhealthy app, if health checks are configured.
    async fn be_well(self: &Arc<Self>) -> Result<(), UpstreamError> {
        let Some(health) = &self.health else {
            return Ok(());
        };
        if health.is_to_start() {
            let (looking, stop) = (health::look_after(self), self.tasks.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = looking => {}
                    () = stop.requested() => {}
                }
            });
        }
        Box::pin(health.wait(self.settings.restart_wait)).await
    }

    /// Connects to the app, which may be restarting.
    async fn connect(&self) -> Result<Outgoing, DialError> {
        Box::pin(self.away.wait(|| self.dial())).await
    }

    /// Connects once, with the TLS handshake where there is one.
    async fn dial(&self) -> Result<Outgoing, DialError> {
        let endpoint = &self.settings.url.endpoint;
        dial(endpoint, |_| true, self.tls.as_ref(), self.settings.connect).await
    }

    /// True if an app that broke a connection has ended.
    async fn has_ended(&self) -> bool {
        if self.settings.restart_wait.is_zero() {
            return false;
        }
        let tried = Box::pin(self.dial()).await;
        tried.is_err_and(|error| nobody_is_there(&error))
    }

    /// Performs one exchange on one connection. From here on the app may be at work.
    fn exchange(
        self: &Arc<Self>,
        mut connection: Connection,
        mut request: Request<Payload>,
        slot: Slot,
        client: Client,
        interim: Option<InterimSink>,
    ) -> Running {
        let upstream = Arc::clone(self);
        let hang_up = (!self.settings.ignore_client_abort).then(|| connection.hang_up());
        let exchange = async move {
            let upload = request_body::passed_on(&request);
            let begun = Instant::now();
            let sent = connection.send(&mut request, interim.as_ref());
            let ended: Ended = match upstream.first_byte(sent, upload).await? {
                Ok(response) => {
                    drop(request);
                    let now = Instant::now();
                    upstream.metrics.answered(now - begun);
                    let answer = upstream.answer(response, connection, slot, client, now);
                    Ok(Ok(answer.await))
                }
                Err(failed) => Ok(Err(Box::new(Failed {
                    failed,
                    request,
                    slot,
                }))),
            };
            ended
        };
        Running::new(exchange, hang_up, &self.tasks)
    }

    /// Sends an upgrade request on a connection of its own, which leaves HTTP if the app accepts. `tasks` runs the
    /// connection until then.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn upgrade(
        self: &Arc<Self>,
        request: Request<Payload>,
        asker: Asker<'_>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let upgraded = self.agree(request, asker).await;
        self.note(upgraded.as_ref().err());
        upgraded
    }

    /// Takes a worker permit, and records the time in the queue.
    async fn slot(&self, asker: Asker<'_>, headers: &HeaderMap) -> Result<Slot, UpstreamError> {
        // Nearly always there is one, and the clock need not be asked.
        if let Some(slot) = self.queue.free() {
            self.metrics.waited(Duration::ZERO);
            if let Some(times) = asker.times {
                times.queued(Duration::ZERO);
            }
            return Ok(slot);
        }
        let came = Instant::now();
        let slot = Box::pin(self.queue.slot(asker, headers)).await;
        if slot.is_ok() {
            self.metrics.waited(came.elapsed());
            if let Some(times) = asker.times {
                times.queued(came.elapsed());
            }
        }
        slot
    }

    async fn agree(
        &self,
        request: Request<Payload>,
        asker: Asker<'_>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        // Taken for the handshake only: how many sockets the app can hold afterwards is its own affair.
        let _slot = self.slot(asker, request.headers()).await?;
        let socket = self.connect().await?;
        let (mut sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            .handshake(TokioIo::new(socket))
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

    /// Waits for the response, counted from the end of the request. `upload` grows as the app takes the body; the
    /// time limit starts when it stops growing.
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

    /// Builds the response, with as much of its body as is available.
    async fn answer(
        self: &Arc<Self>,
        response: Response<()>,
        connection: Connection,
        slot: Slot,
        client: Client,
        now: Instant,
    ) -> Response<Answer> {
        let (head, ()) = response.into_parts();
        let source = Source::new(&head.headers, connection, slot, Arc::clone(self), now);
        let mut source = Some(source);
        let beginning = poll_fn(|cx| match source.take() {
            Some(source) => Poll::Ready(source.begin(cx)),
            // A future is not asked again after it was ready.
            None => Poll::Pending,
        });
        let answer = Answer::new(&head.headers, beginning.await, client, self);
        Response::from_parts(head, answer)
    }

    fn take_back(&self, connection: Connection, now: Instant) {
        self.pool.put(connection, now);
    }
}

fn broken(error: impl Into<BoxError>) -> UpstreamError {
    let error = error.into();
    UpstreamError::Broken(match explain_alert(&*error) {
        Some(alert) => alert.into(),
        None => error,
    })
}

/// True if a request may be sent again when no response came. Of methods that RFC 9110 does not define only the
/// safe ones are: to repeat a MOVE that was carried out would turn it into an error.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    ) || matches!(method.as_str(), "PROPFIND" | "REPORT" | "SEARCH" | "QUERY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_nothing_when_it_comes_twice_is_idempotent() {
        for (names, expected) in [
            (
                "GET HEAD OPTIONS PUT DELETE PROPFIND REPORT SEARCH QUERY",
                true,
            ),
            (
                "POST PATCH MOVE COPY MKCOL LOCK UNLOCK PURGE BREW query",
                false,
            ),
        ] {
            for name in names.split(' ') {
                let method = Method::from_bytes(name.as_bytes()).expect("a token");
                assert_eq!(is_idempotent(&method), expected, "{name}");
            }
        }
    }
}
