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

use crate::http::{Deadline, InterimSink};
use crate::shares::Client;
use crate::upstream::abandoned::{Ended, Failed, Running};
use crate::upstream::affinity::Affinity;
use crate::upstream::connection::Connection;
use crate::upstream::response_reader::Source;
use crate::upstream::silence::{Watch, copy_request};
use crate::upstream::workers::WorkerPermit;
use crate::upstream::{
    Payload, Requester, Upstream, UpstreamBody, UpstreamError, broken, request_body,
};

/// The properties of a visitor that the choice of an address needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    client: Client,
    pub(super) affinity: Affinity,
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
        let permit = self
            .permit(requester, visit.affinity, request.headers())
            .await?;
        let started_at = requester.times.map(|_| Instant::now());
        let answered = self.send_as(request, permit, visit, interim).await;
        if let (Some(times), Some(started_at)) = (requester.times, started_at) {
            times.record_response(started_at.elapsed());
        }
        answered
    }

    pub(super) fn visit(&self, request: &mut Request<Payload>, requester: Requester<'_>) -> Visit {
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
        mut permit: WorkerPermit,
        visit: Visit,
        interim: Option<InterimSink>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        self.wait_until_healthy(&mut permit, visit.affinity).await?;
        let repeatable = is_idempotent(request.method());
        let may_fail_over = self.may_fail_over(request.method());
        let mut copies = usize::from(repeatable);
        let mut may_have_run = false;
        let mut pooled = permit.backend().pool.take(repeatable);
        loop {
            let fresh = pooled.is_none();
            let connection = match pooled.take() {
                Some(connection) => connection,
                None if may_have_run && !may_fail_over => {
                    Connection::start(Box::pin(self.reconnect(&permit)).await?)
                }
                None => {
                    let connected = Box::pin(self.connect(&mut permit, visit.affinity));
                    Connection::start(connected.await?)
                }
            };
            let copy = if copies > 0 {
                request_body::copy(request.body())
            } else {
                None
            };
            let spare = (may_fail_over && copies > 0)
                .then(|| copy_request(&request))
                .flatten();
            let place = spare
                .is_some()
                .then(|| (permit.at(), Arc::clone(permit.backend())));
            let mut exchange = self.exchange(connection, request, permit, visit, interim.clone());
            let ended = match (spare, place) {
                (Some(spare), Some((at, backend))) => {
                    let ended = self.until_silent(&mut exchange, at, &backend);
                    let Some(ended) = Box::pin(ended).await else {
                        // It goes on there without its client, and keeps its worker for as long as it lasts.
                        drop(exchange);
                        request = *spare;
                        permit = Box::pin(self.queue.open_address_permit(visit.affinity)).await?;
                        pooled = permit.backend().pool.take(repeatable);
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
                    (request, permit) = (back.request, back.permit);
                    back.error
                }
            };
            let again = match failed.unsent {
                Some(unsent) if !fresh => Some(unsent),
                _ if copy.is_none() || !failed.nothing_came_back => None,
                _ if fresh && !self.has_ended(permit.backend(), may_fail_over).await => None,
                _ => {
                    copies = 0;
                    may_have_run = true;
                    copy
                }
            };
            *request.body_mut() = match again {
                Some(again) => again,
                None => return Err(permit.backend().record_broken(broken(failed.error))),
            };
        }
    }

    /// Performs one exchange on one connection. From here on the app may execute the request.
    fn exchange(
        self: &Arc<Self>,
        mut connection: Connection,
        mut request: Request<Payload>,
        permit: WorkerPermit,
        visit: Visit,
        interim: Option<InterimSink>,
    ) -> Running {
        let upstream = Arc::clone(self);
        let hang_up = (!self.settings.ignore_client_abort).then(|| connection.hang_up());
        let exchange = async move {
            let upload = request_body::passed_on(&request);
            let started_at = Instant::now();
            let mut deadline = connection.take_deadline();
            let sent = connection.send(&mut request, interim.as_ref());
            let wait = (started_at, upload, &mut deadline);
            let watch = upstream.watch(permit.backend(), started_at);
            let sent = upstream.wait_for_head(sent, wait, watch).await;
            connection.keep_deadline(deadline);
            let sent = sent.inspect_err(|error| permit.backend().record_silence(error));
            let ended: Ended = match sent? {
                Ok(mut response) => {
                    drop(request);
                    let now = Instant::now();
                    upstream.metrics.record_response(now - started_at);
                    permit.backend().record_response(now);
                    upstream.set_cookie(&permit, visit, response.headers_mut());
                    let answer =
                        upstream.build_response(response, connection, permit, visit.client, now);
                    Ok(Ok(answer.await))
                }
                Err(failed) => Ok(Err(Box::new(Failed {
                    error: failed,
                    request,
                    permit,
                }))),
            };
            ended
        };
        Running::new(exchange, hang_up, &self.tasks)
    }

    /// Takes a worker permit, and records the time in the queue.
    pub(super) async fn permit(
        &self,
        requester: Requester<'_>,
        affinity: Affinity,
        headers: &HeaderMap,
    ) -> Result<WorkerPermit, UpstreamError> {
        // Usually a permit is free, and then the clock is not read.
        if let Some(permit) = self.queue.free(affinity) {
            self.metrics.waited(Duration::ZERO);
            if let Some(times) = requester.times {
                times.queued(Duration::ZERO);
            }
            return Ok(permit);
        }
        let came = Instant::now();
        let permit = Box::pin(self.queue.permit(requester, affinity, headers)).await;
        if permit.is_ok() {
            self.metrics.waited(came.elapsed());
            if let Some(times) = requester.times {
                times.queued(came.elapsed());
            }
        }
        permit
    }

    /// Sets the cookie with the address of the app, if the client has none or another one.
    pub(super) fn set_cookie(&self, permit: &WorkerPermit, visit: Visit, headers: &mut HeaderMap) {
        let tag = permit.backend().tag;
        let app = &self.settings.name;
        if let Some(cookie) = visit.affinity.set_cookie(tag, app, visit.is_https) {
            headers.append(SET_COOKIE, cookie);
        }
    }

    /// Waits for the response to a request that began at this time. The counter increases as the app takes the body;
    /// the time limit starts when it stops increasing.
    pub(super) async fn wait_for_head<F: Future>(
        self: &Arc<Self>,
        exchange: F,
        (started_at, upload, deadline): (Instant, Option<Arc<AtomicU64>>, &mut Deadline),
        mut watch: Option<Watch<'_>>,
    ) -> Result<F::Output, UpstreamError> {
        let limit = self.settings.response;
        let (mut since, mut taken) = (started_at, 0);
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
                let at = watch
                    .as_ref()
                    .map_or(end, |watch| end.min(watch.next_check()));
                if !deadline.has_passed(cx, at.into()) {
                    return Poll::Pending;
                }
                match &mut watch {
                    Some(watch) if at < end => watch.check(self),
                    _ => return Poll::Ready(Err(UpstreamError::Slow(limit))),
                }
            }
        })
        .await
    }

    /// Builds the response, with as much of its body as is available.
    async fn build_response(
        self: &Arc<Self>,
        response: Response<()>,
        connection: Connection,
        permit: WorkerPermit,
        client: Client,
        now: Instant,
    ) -> Response<UpstreamBody> {
        let (head, ()) = response.into_parts();
        let source = Source::new(&head.headers, connection, permit, Arc::clone(self), now);
        let mut source = Some(source);
        let beginning = poll_fn(|cx| match source.take() {
            Some(source) => Poll::Ready(source.begin(cx)),
            // A future is not polled again after it was ready.
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
