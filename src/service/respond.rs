//! Wraps every request: assigns its id, writes the access line and metrics, adds the standard response headers.
//! Independent of the handlers.

use std::sync::Arc;
use std::time::Instant;

use http::header::ACCEPT;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use tracing::warn;

use crate::config::{AccessFormat, Config};
use crate::http::{
    Body, Busy, ClosedFor, Context, Form, Framing, Incoming, Pending, Refusal, RequestId, Spelling,
    check_lines, drop_file_names, set_date,
};
use crate::net::{AddressPermit, ConnectionPermits};
use crate::router::Route;
use crate::service::ServiceResponse;
use crate::service::app_requests::AppRequests;
use crate::service::headers::ResponseHeaders;
use crate::service::live::Live;
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;
use crate::telemetry::{AccessLine, Classes, Handler, Measured, Telemetry, Timings};
use crate::upstream::Upstream;

/// Resources that a response holds until its last byte is sent.
#[derive(Debug)]
pub(crate) struct HeldResources {
    /// The guard of the request in progress.
    busy: Option<Busy>,
    /// The app whose response is timed, and the time of the request.
    timed: Option<(Arc<Upstream>, Instant)>,
    /// The permit of a route with a limit on requests in progress.
    #[expect(dead_code, reason = "it is held, and released with the response")]
    permit: Option<AddressPermit>,
}

/// The results of the pipeline that the response needs.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The route, once it is known.
    pub(super) route: Option<Route>,
    /// The permit that its response holds.
    pub(super) permit: Option<AddressPermit>,
}

impl Drop for HeldResources {
    fn drop(&mut self) {
        let now = Instant::now();
        if let Some((app, started_at)) = &self.timed {
            app.metrics().done(now - *started_at);
        }
        if let Some(busy) = self.busy.take() {
            busy.end(now);
        }
    }
}

/// Wraps requests and responses: see the module.
#[derive(Debug)]
pub(super) struct Wrapper {
    apps: Arc<AppRequests>,
    /// Response counters of each app.
    counted: Vec<Classes>,
    headers: Arc<ResponseHeaders>,
    access: Option<AccessFormat>,
    traces: bool,
    telemetry: Arc<Telemetry>,
    connection_permits: ConnectionPermits,
    shutdown: Shutdown,
}

/// The state of a request in progress that its response needs. The order of the fields is the order in which they are
/// dropped if the client leaves.
pub(super) struct Wrapped {
    accept: Option<HeaderValue>,
    framing: Framing,
    line: Option<Box<AccessLine>>,
    id: RequestId,
    started_at: Instant,
    pending: Pending,
    busy: Busy,
}

impl Wrapped {
    /// Durations for the access line, if there is one.
    pub(super) fn times(&self) -> Option<&Timings> {
        self.line.as_deref().map(AccessLine::times)
    }
}

impl Wrapper {
    pub(super) fn new(config: &Config, shared: &SharedParts, live: &Live) -> Self {
        let apps = config.apps.iter();
        let telemetry = Arc::clone(&live.telemetry);
        let counted = apps.map(|app| telemetry.metrics.requests.of_app(&app.name));
        Self {
            apps: Arc::clone(&shared.apps),
            counted: counted.collect(),
            headers: Arc::clone(&shared.headers),
            access: config.log.access.then_some(config.log.access_format),
            traces: config.server.traces,
            telemetry,
            connection_permits: live.connection_permits.clone(),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Begins a request, which its connection has counted already.
    ///
    /// # Errors
    /// The refusal of a head with too many lines, together with the state of the request.
    pub(super) fn begin(
        &self,
        request: &mut Request<Incoming>,
        context: &Context,
        (busy, pending): (Busy, Pending),
    ) -> (Wrapped, Result<(), Refusal>) {
        let started_at = Instant::now();
        // Before the door adds its own.
        let lines = check_lines(request, context.header_lines);
        let id = RequestId::new();
        id.set_headers(request.headers_mut(), self.traces);
        let line = self.access.map(|format| {
            let close_reason = context.activity.close_reason().clone();
            let line = AccessLine::begin(&context.peer, request, close_reason).called(id);
            Box::new(match format {
                AccessFormat::Fields => line,
                AccessFormat::Combined => line.combined(request),
            })
        });
        let wrapped = Wrapped {
            accept: request.headers().get(ACCEPT).cloned(),
            framing: Framing::of(request),
            line,
            id,
            started_at,
            pending,
            busy,
        };
        (wrapped, lines)
    }

    /// Ends a request: converts a refusal to a response, and completes the response.
    pub(super) fn end(
        &self,
        wrapped: Wrapped,
        handled: Result<Response<Body>, Refusal>,
        progress: Progress,
        context: &Context,
    ) -> ServiceResponse {
        let Progress { route, permit } = progress;
        let Wrapped {
            accept,
            mut framing,
            mut line,
            id,
            started_at,
            pending,
            busy,
        } = wrapped;
        let mut cause = None;
        let mut response = match handled {
            Ok(mut response) => {
                if let Some(ClosedFor(refusal)) = response.extensions_mut().remove() {
                    self.telemetry.metrics.requests.refuse(refusal.status);
                    cause = refusal.cause.or_else(|| Some(refusal.reason.to_string()));
                }
                response
            }
            Err(mut refusal) => {
                cause = refusal
                    .cause
                    .take()
                    .or_else(|| Some(refusal.reason.to_string()));
                self.telemetry.metrics.requests.refuse(refusal.status);
                if refusal.status == StatusCode::TOO_MANY_REQUESTS
                    && let Some(line) = &mut line
                {
                    line.in_turn(self.telemetry.refused_requests.line());
                }
                if line.is_none() && refusal.status.is_server_error() {
                    warn!(
                        peer = %context.peer,
                        request = %id,
                        status = refusal.status.as_u16(),
                        cause,
                        "request failed",
                    );
                }
                refusal
                    .of(id)
                    .into_response(Form::preferred(accept.as_ref()), &framing.method)
            }
        };
        pending.answered();
        self.finish(&mut response, route, context);
        if framing.version < Version::HTTP_2 {
            spell(&mut response);
        }
        // With all places taken, a connection that could wait idle for its next request makes room instead.
        framing.close |= self.shutdown.has_begun() || self.connection_permits.is_full();
        let response = framing.fit(response);
        let status = response.status();
        let counted = self.count(route, status);
        response.map(|body| {
            let held = HeldResources {
                busy: Some(busy),
                timed: counted.map(|app| (app, started_at)),
                permit,
            };
            Measured::new(body, line, status, cause, held)
        })
    }

    /// Counts a response; returns the app, if the response came from one.
    fn count(&self, route: Option<Route>, status: StatusCode) -> Option<Arc<Upstream>> {
        let handler = match route {
            Some(Route::App(index)) => {
                self.counted.get(index)?.count(status);
                return Some(Arc::clone(self.apps.get(index)?));
            }
            Some(Route::Websockify | Route::Consoles(_)) => Handler::Bridge,
            Some(Route::Hub(_) | Route::Webhook) => Handler::Hub,
            Some(Route::Mercure) => Handler::Mercure,
            Some(Route::Page(_)) => Handler::Page,
            Some(Route::Files(_)) => Handler::Files,
            Some(Route::Welcome) | None => Handler::None,
        };
        self.telemetry.metrics.requests.count(handler, status);
        None
    }

    /// Completes the headers of a response for the client.
    fn finish(&self, response: &mut Response<Body>, route: Option<Route>, context: &Context) {
        let status = response.status();
        let headers = response.headers_mut();
        // On every route: clients must not see a path of the app's machine.
        drop_file_names(headers);
        set_date(headers);
        self.headers.apply(headers, status, route, context.scheme);
    }
}

/// Makes hyper spell the header names of a response as its app did, or in the standard way.
fn spell(response: &mut Response<Body>) {
    let own = response.extensions_mut().remove::<Spelling>();
    // The response of a tunnel came through hyper, and has its spelling already.
    if own.is_none() && !response.extensions().is_empty() {
        return;
    }
    if let Some(spelled) = own.unwrap_or_default().for_hyper(response.headers()) {
        response.extensions_mut().extend(spelled);
    }
}
