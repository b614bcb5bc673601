//! Sends one request to the app: takes a worker permit and a connection, performs the exchange, and decides about a
//! repetition.
//!
//! A request that certainly was not sent is sent to another address of the app when its own cannot be connected to. A
//! request that may have been executed is sent once more at most, and only if it may be repeated (RFC 9110 §9.2.2): to
//! the same address, or to another one if it is safe and `retry-elsewhere` permits that.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::header::SET_COOKIE;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout_at;

use crate::http::{Deadline, InterimSink};
use crate::shares::Client;
use crate::tls::{DialError, Outgoing};
use crate::upstream::abandoned::{Ended, Failed, Running};
use crate::upstream::affinity::Affinity;
use crate::upstream::backend::{Backend, Tunnel};
use crate::upstream::condition::State;
use crate::upstream::connection::Connection;
use crate::upstream::health::Health;
use crate::upstream::response_reader::Source;
use crate::upstream::restart_wait::{Wait, nobody_is_there};
use crate::upstream::silence::{Watch, spare};
use crate::upstream::workers::{Moved, Slot};
use crate::upstream::{
    Payload, Requester, Upstream, UpstreamBody, UpstreamError, broken, request_body,
};

/// Time limit to connect to one of several addresses while another is open. A listener accepts connections at once, or
/// its machine is down; a background task then tries the address again, so that no visitor waits for it.
const QUICK: Duration = Duration::from_secs(1);

/// The properties of a visitor that the choice of an address needs.
#[derive(Clone, Copy, Debug)]
struct Visit {
    client: Client,
    affinity: Affinity,
    is_https: bool,
}

impl Upstream {
    /// Sends a request for `requester` and waits for the head of the response.
    ///
    /// If a pooled connection breaks before any byte of a response, the request is sent once more on a new connection,
    /// provided that it was not sent or may be repeated (RFC 9110 §9.2.2). The same applies if a new connection breaks
    /// because the app ends, which is assumed if nothing listens at its address afterwards.
    ///
    /// # Errors
    /// [`UpstreamError`] says at which step it failed.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<Payload>,
        requester: Requester<'_>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        self.send_with(request, requester, None).await
    }

    /// Like [`send`](Self::send), with a receiver of interim responses.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub(crate) async fn send_with(
        self: &Arc<Self>,
        request: Request<Payload>,
        requester: Requester<'_>,
        interim: Option<InterimSink>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let answered = self.deliver(request, requester, interim).await;
        self.count_failure(answered.as_ref().err());
        answered
    }

    async fn deliver(
        self: &Arc<Self>,
        mut request: Request<Payload>,
        requester: Requester<'_>,
        interim: Option<InterimSink>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let visit = self.visit(&mut request, requester);
        let slot = self
            .slot(requester, visit.affinity, request.headers())
            .await?;
        let begun = requester.times.map(|_| Instant::now());
        let answered = self.send_as(request, slot, visit, interim).await;
        if let (Some(times), Some(begun)) = (requester.times, begun) {
            times.answered(begun.elapsed());
        }
        answered
    }

    fn visit(&self, request: &mut Request<Payload>, requester: Requester<'_>) -> Visit {
        let client = Client {
            address: requester.address,
            session: None,
        };
        Visit {
            client,
            affinity: Affinity::of(&self.settings, requester.address, request.headers_mut()),
            is_https: requester.is_https,
        }
    }

    async fn send_as(
        self: &Arc<Self>,
        mut request: Request<Payload>,
        mut slot: Slot,
        visit: Visit,
        interim: Option<InterimSink>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        self.be_well(&mut slot, visit.affinity).await?;
        let repeatable = is_idempotent(request.method());
        let goes_elsewhere = self.goes_elsewhere(request.method());
        let mut copies = usize::from(repeatable);
        let mut may_have_run = false;
        let mut pooled = slot.backend().pool.take(repeatable);
        loop {
            let fresh = pooled.is_none();
            let connection = match pooled.take() {
                Some(connection) => connection,
                None if may_have_run && !goes_elsewhere => {
                    Connection::over(Box::pin(self.reconnect(&slot)).await?)
                }
                None => {
                    let connected = Box::pin(self.connect(&mut slot, visit.affinity));
                    Connection::over(connected.await?)
                }
            };
            let copy = if copies > 0 {
                request_body::copy(request.body())
            } else {
                None
            };
            let spare = (goes_elsewhere && copies > 0)
                .then(|| spare(&request))
                .flatten();
            let place = spare
                .is_some()
                .then(|| (slot.at(), Arc::clone(slot.backend())));
            let mut exchange = self.exchange(connection, request, slot, visit, interim.clone());
            let ended = match (spare, place) {
                (Some(spare), Some((at, backend))) => {
                    let ended = self.unless_silent(&mut exchange, at, &backend);
                    let Some(ended) = Box::pin(ended).await else {
                        // It goes on there without its client, and keeps its worker for as long as it lasts.
                        drop(exchange);
                        request = *spare;
                        slot = Box::pin(self.queue.another(visit.affinity)).await?;
                        pooled = slot.backend().pool.take(repeatable);
                        (copies, may_have_run) = (0, true);
                        continue;
                    };
                    ended?
                }
                _ => exchange.await?,
            };
            let failed = match ended {
                Ok(response) => return Ok(response),
                Err(back) => {
                    let back = *back;
                    (request, slot) = (back.request, back.slot);
                    back.error
                }
            };
            let again = match failed.unsent {
                Some(unsent) if !fresh => Some(unsent),
                _ if copy.is_none() || !failed.nothing_came_back => None,
                _ if fresh && !self.has_ended(slot.backend(), goes_elsewhere).await => None,
                _ => {
                    copies = 0;
                    may_have_run = true;
                    copy
                }
            };
            *request.body_mut() = match again {
                Some(again) => again,
                None => return Err(slot.backend().broke(broken(failed.error))),
            };
        }
    }

    /// Waits for an unhealthy app to become healthy, if health checks are configured. A request gets a permit of an
    /// unhealthy address only if no other address is open.
    async fn be_well(
        self: &Arc<Self>,
        slot: &mut Slot,
        affinity: Affinity,
    ) -> Result<(), UpstreamError> {
        let Some(health) = &self.health else {
            return Ok(());
        };
        self.start_checks();
        if slot.backend().shared.availability.unwell_since().is_none() {
            return Ok(());
        }
        Box::pin(self.wait_until_well(health, slot, affinity)).await
    }

    async fn wait_until_well(
        &self,
        health: &Health,
        slot: &mut Slot,
        affinity: Affinity,
    ) -> Result<(), UpstreamError> {
        loop {
            let changed = self.queue.changed();
            let mut changed = pin!(changed);
            changed.as_mut().enable();
            let Some(since) = slot.backend().shared.availability.unwell_since() else {
                return Ok(());
            };
            if self.queue.another_is_open(slot.at()) {
                self.queue.move_on(slot, affinity).await?;
                continue;
            }
            let end = since + self.settings.restart_wait;
            if timeout_at(end, changed).await.is_err() {
                return Err(health.error());
            }
        }
    }

    /// Connects to an address of the app, which may be restarting.
    async fn connect(
        &self,
        slot: &mut Slot,
        affinity: Affinity,
    ) -> Result<Outgoing, UpstreamError> {
        let mut wait = Wait::default();
        loop {
            match self.connect_once(slot, affinity).await? {
                Ok(connected) => {
                    self.away.is_back();
                    return Ok(connected);
                }
                Err(error) => self.away_for(slot.backend(), &mut wait, error).await?,
            }
        }
    }

    /// Connects to the same address again.
    async fn reconnect(&self, slot: &Slot) -> Result<Outgoing, UpstreamError> {
        let mut wait = Wait::default();
        loop {
            match slot.backend().dial(self.settings.connect).await {
                Ok(connected) => {
                    self.away.is_back();
                    return Ok(connected);
                }
                Err(error) => self.away_for(slot.backend(), &mut wait, error).await?,
            }
        }
    }

    /// Waits before the next attempt to connect. Fails if the app is not expected to return.
    async fn away_for(
        &self,
        backend: &Backend,
        wait: &mut Wait,
        error: DialError,
    ) -> Result<(), UpstreamError> {
        let paused = self.away.pause(wait, error).await;
        paused.map_err(|error| {
            backend.failed(State::Down, error.to_string());
            UpstreamError::Connect(error)
        })
    }

    /// Connects to the address of the permit; if that fails, to each other address that is open.
    async fn connect_once(
        &self,
        slot: &mut Slot,
        affinity: Affinity,
    ) -> Result<Result<Outgoing, DialError>, UpstreamError> {
        let limit = self.settings.connect;
        if self.backends.len() < 2 {
            return Ok(slot.backend().dial(limit).await);
        }
        // It was waited for, and meanwhile another may be back.
        if !slot.backend().is_open() {
            self.queue.move_on(slot, affinity).await?;
        }
        let mut attempts = self.backends.len();
        loop {
            let limit = if self.queue.another_is_open(slot.at()) {
                limit.min(QUICK)
            } else {
                limit
            };
            let error = match slot.backend().dial(limit).await {
                Ok(connected) => {
                    slot.backend().connected();
                    return Ok(Ok(connected));
                }
                Err(error) => error,
            };
            slot.backend().unreachable(&error);
            attempts -= 1;
            if attempts == 0 || self.queue.move_on(slot, affinity).await? == Moved::NoneOpen {
                return Ok(Err(error));
            }
        }
    }

    /// True if an app that broke a connection has ended, and another process can take its requests: at another address,
    /// or soon at the same one.
    async fn has_ended(&self, backend: &Backend, goes_elsewhere: bool) -> bool {
        if self.settings.restart_wait.is_zero() && !goes_elsewhere {
            return false;
        }
        let tried = Box::pin(backend.dial(self.settings.connect)).await;
        tried.is_err_and(|error| nobody_is_there(&error))
    }

    /// Performs one exchange on one connection. From here on the app may execute the request.
    fn exchange(
        self: &Arc<Self>,
        mut connection: Connection,
        mut request: Request<Payload>,
        slot: Slot,
        visit: Visit,
        interim: Option<InterimSink>,
    ) -> Running {
        let upstream = Arc::clone(self);
        let hang_up = (!self.settings.ignore_client_abort).then(|| connection.hang_up());
        let exchange = async move {
            let upload = request_body::passed_on(&request);
            let begun = Instant::now();
            let mut deadline = connection.take_deadline();
            let sent = connection.send(&mut request, interim.as_ref());
            let wait = (begun, upload, &mut deadline);
            let watch = upstream.watch(slot.backend(), begun);
            let sent = upstream.first_byte(sent, wait, watch).await;
            connection.keep_deadline(deadline);
            let sent = sent.inspect_err(|error| slot.backend().silent(error));
            let ended: Ended = match sent? {
                Ok(mut response) => {
                    drop(request);
                    let now = Instant::now();
                    upstream.metrics.answered(now - begun);
                    slot.backend().answered(now);
                    upstream.set_cookie(&slot, visit, response.headers_mut());
                    let answer = upstream.answer(response, connection, slot, visit.client, now);
                    Ok(Ok(answer.await))
                }
                Err(failed) => Ok(Err(Box::new(Failed {
                    error: failed,
                    request,
                    slot,
                }))),
            };
            ended
        };
        Running::new(exchange, hang_up, &self.tasks)
    }

    /// Sends an upgrade request on its own connection, which leaves HTTP if the app accepts. `tasks` runs the
    /// connection until then. The tunnel counts at the address until its guard is dropped.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub(crate) async fn upgrade(
        self: &Arc<Self>,
        request: Request<Payload>,
        requester: Requester<'_>,
    ) -> Result<(Response<Incoming>, Tunnel), UpstreamError> {
        let upgraded = self.agree(request, requester).await;
        self.count_failure(upgraded.as_ref().err());
        upgraded
    }

    /// Takes a worker permit, and records the time in the queue.
    async fn slot(
        &self,
        requester: Requester<'_>,
        affinity: Affinity,
        headers: &HeaderMap,
    ) -> Result<Slot, UpstreamError> {
        // Nearly always there is one, and the clock need not be asked.
        if let Some(slot) = self.queue.free(affinity) {
            self.metrics.waited(Duration::ZERO);
            if let Some(times) = requester.times {
                times.queued(Duration::ZERO);
            }
            return Ok(slot);
        }
        let came = Instant::now();
        let slot = Box::pin(self.queue.slot(requester, affinity, headers)).await;
        if slot.is_ok() {
            self.metrics.waited(came.elapsed());
            if let Some(times) = requester.times {
                times.queued(came.elapsed());
            }
        }
        slot
    }

    async fn agree(
        self: &Arc<Self>,
        mut request: Request<Payload>,
        requester: Requester<'_>,
    ) -> Result<(Response<Incoming>, Tunnel), UpstreamError> {
        let visit = self.visit(&mut request, requester);
        // Taken for the handshake only: how many sockets the app can hold afterwards is its own affair.
        let mut slot = self
            .slot(requester, visit.affinity, request.headers())
            .await?;
        self.be_well(&mut slot, visit.affinity).await?;
        let socket = self.connect(&mut slot, visit.affinity).await?;
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
        let backend = slot.backend();
        let begun = Instant::now();
        let wait = (begun, None, &mut Deadline::default());
        let watch = self.watch(backend, begun);
        let sent = sender.send_request(request);
        let sent = self.first_byte(sent, wait, watch).await;
        let sent = sent.inspect_err(|error| backend.silent(error))?;
        let mut response = sent.map_err(|error| backend.broke(broken(error)))?;
        backend.answered(Instant::now());
        self.set_cookie(&slot, visit, response.headers_mut());
        Ok((response, backend.tunnel()))
    }

    /// Sets the cookie with the address of the app, if the client has none or another one.
    fn set_cookie(&self, slot: &Slot, visit: Visit, headers: &mut HeaderMap) {
        let tag = slot.backend().tag;
        let app = &self.settings.name;
        if let Some(cookie) = visit.affinity.set_cookie(tag, app, visit.is_https) {
            headers.append(SET_COOKIE, cookie);
        }
    }

    /// Waits for the response to a request that began at this time. The counter increases as the app takes the body;
    /// the time limit starts when it stops increasing.
    async fn first_byte<F: Future>(
        self: &Arc<Self>,
        exchange: F,
        (begun, upload, deadline): (Instant, Option<Arc<AtomicU64>>, &mut Deadline),
        mut watch: Option<Watch<'_>>,
    ) -> Result<F::Output, UpstreamError> {
        let limit = self.settings.response;
        let (mut since, mut taken) = (begun, 0);
        let mut exchange = pin!(exchange);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = exchange.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            let now = upload
                .as_ref()
                .map_or(0, |upload| upload.load(Ordering::Relaxed));
            if std::mem::replace(&mut taken, now) != now {
                since = Instant::now();
                if let Some(watch) = &mut watch {
                    watch.progressed(since);
                }
            }
            let end = since + limit;
            loop {
                let at = watch.as_ref().map_or(end, |watch| end.min(watch.at()));
                if !deadline.has_passed(cx, at.into()) {
                    return Poll::Pending;
                }
                match &mut watch {
                    Some(watch) if at < end => watch.passed(self),
                    _ => return Poll::Ready(Err(UpstreamError::Slow(limit))),
                }
            }
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
    ) -> Response<UpstreamBody> {
        let (head, ()) = response.into_parts();
        let source = Source::new(&head.headers, connection, slot, Arc::clone(self), now);
        let mut source = Some(source);
        let beginning = poll_fn(|cx| match source.take() {
            Some(source) => Poll::Ready(source.begin(cx)),
            // A future is not asked again after it was ready.
            None => Poll::Pending,
        });
        let answer = UpstreamBody::new(&head.headers, beginning.await, client, self);
        Response::from_parts(head, answer)
    }
}

/// True if a request may be sent again after no response arrived. Of the methods that RFC 9110 does not define only
/// safe ones count: to repeat a MOVE that was carried out would turn its success into an error.
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
