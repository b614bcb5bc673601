//! Detects silent addresses: a process that was stopped, or hangs, still accepts connections, because its system does
//! that for it, but does not respond.
//!
//! When no response has arrived from one of several addresses for a while (`health-silence`) although a request waits
//! there, a probe is sent to it. If the probe gets no response, the address gets no further requests until it responds
//! again, and a safe request that waits there may be sent to another address (`retry-elsewhere`). Must not know how a
//! request is sent.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::{Method, Request};
use tokio::time::timeout;

use crate::net::ConnectError;
use crate::tls::DialError;
use crate::upstream::availability::ClosedReason;
use crate::upstream::backend::Backend;
use crate::upstream::{Payload, Upstream, request_body};

/// Time limit of the probe. A server with a free worker responds at once, a busy machine a little later.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// The wait of one request for one of several addresses.
pub(super) struct Watch<'a> {
    backend: &'a Arc<Backend>,
    started_at: Instant,
    /// Time of the next check.
    at: Instant,
    silence: Duration,
}

impl Upstream {
    /// Watches the address that a request waits for; `None` if it is the only one, or `health-silence` is 0.
    pub(super) fn watch<'a>(
        &self,
        backend: &'a Arc<Backend>,
        started_at: Instant,
    ) -> Option<Watch<'a>> {
        let limit = self.settings.health_silence;
        (self.backends.len() > 1 && !limit.is_zero()).then(|| Watch {
            backend,
            started_at,
            at: started_at + limit,
            silence: limit,
        })
    }

    /// Probes an address, if nothing has come from it for long enough since a request began to wait. An address whose
    /// workers are all busy cannot respond, so it gets more time, and the bytes of a long response count for it too.
    /// They do not count if a worker is free: the kernel of a stopped process still sends what is in its buffers, and
    /// a probe costs a working address nothing.
    fn probe_if_silent(self: &Arc<Self>, watch: &Watch<'_>) {
        let backend = watch.backend;
        let shared = &backend.shared;
        let since = |last: Option<Instant>| {
            last.map_or(watch.started_at, |last| last.max(watch.started_at))
                .elapsed()
        };
        let quiet = since(shared.watch.last_response());
        if quiet < self.settings.health_silence || shared.availability.is(ClosedReason::Silent) {
            return;
        }
        let permit = self.queue.permit_at(backend);
        let still = quiet.min(since(shared.watch.last_bytes()));
        if permit.is_none() && still < self.settings.queue_wait.max(self.settings.health_silence) {
            return;
        }
        if shared.is_probed.swap(true, Ordering::Relaxed) {
            return;
        }
        let (backend, stop) = (Arc::clone(backend), self.tasks.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = probe(&backend, quiet) => {}
                () = stop.requested() => {}
            }
            backend.shared.is_probed.store(false, Ordering::Relaxed);
            drop(permit);
        });
    }

    /// True if a request may be sent to another address when its own falls silent or ends: a safe one
    /// (RFC 9110 §9.2.1), if the configuration says so.
    pub(super) fn may_fail_over(&self, method: &Method) -> bool {
        self.settings.retry_elsewhere && is_safe(method)
    }

    /// Awaits an exchange at an address while that is not silent, or is the only one. `None` if the address is silent
    /// and there is another one.
    pub(super) async fn until_silent<F: Future + Unpin>(
        &self,
        exchange: &mut F,
        at: usize,
        backend: &Arc<Backend>,
    ) -> Option<F::Output> {
        tokio::select! {
            biased;
            ended = exchange => Some(ended),
            () = self.wait_for_silence(at, backend) => None,
        }
    }

    async fn wait_for_silence(&self, at: usize, backend: &Arc<Backend>) {
        loop {
            let changed = self.queue.changed();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if backend.shared.availability.is(ClosedReason::Silent)
                && self.queue.another_is_open(at)
            {
                return;
            }
            changed.await;
        }
    }
}

impl Watch<'_> {
    /// Time at which the wait has lasted long enough to check the address.
    pub(super) fn next_check(&self) -> Instant {
        self.at
    }

    /// Records that the address has taken a part of the request.
    pub(super) fn progressed(&mut self, now: Instant) {
        self.backend.shared.watch.record_bytes(now);
        self.started_at = now;
        self.at = now + self.silence;
    }

    /// Checks the address, and sets the time of the next check: other requests may have got responses from it until
    /// now.
    pub(super) fn check(&mut self, upstream: &Arc<Upstream>) {
        upstream.probe_if_silent(self);
        self.at = Instant::now() + self.silence;
    }
}

/// Copies a request, if its body can be sent twice.
pub(super) fn copy_request(request: &Request<Payload>) -> Option<Box<Request<Payload>>> {
    let mut copy = Request::new(request_body::copy(request.body())?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(Box::new(copy))
}

async fn probe(backend: &Arc<Backend>, quiet: Duration) {
    match timeout(PROBE_LIMIT, backend.probe()).await {
        Ok(Ok(())) => backend.record_response(Instant::now()),
        // A server that ends takes no connections any more, and may still answer what waits there; one that has ended
        // breaks the connections.
        Ok(Err(error)) if !is_silence(&error) => {}
        Ok(Err(_)) | Err(_) => backend.take_out_as_silent(quiet + PROBE_LIMIT),
    }
}

/// True if a failure to connect says that the machine is not there.
fn is_silence(error: &DialError) -> bool {
    use std::io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    match error {
        DialError::Slow { .. } | DialError::Connect(ConnectError::Slow { .. }) => true,
        DialError::Connect(ConnectError::Refused { source, .. }) => {
            matches!(
                source.kind(),
                HostUnreachable | NetworkUnreachable | TimedOut
            )
        }
        DialError::Handshake { .. } => false,
    }
}

/// True if a request changes nothing, so that it may be sent to two addresses of an app.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
        || matches!(method.as_str(), "PROPFIND" | "REPORT" | "SEARCH" | "QUERY")
}
