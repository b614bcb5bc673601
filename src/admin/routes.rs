//! Routes of the admin socket, and their responses.

use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tracing::debug;

use crate::admin::View;
use crate::admin::control::{Desk, Order};
use crate::admin::stream::Stream;
use crate::config::ChannelName;
use crate::http::{Body, Form, Refusal, full, parameter, refuse, set_date};
use crate::hub::{Format, From, Hub, SubscribeError};
use crate::shutdown::Shutdown;
use crate::telemetry;
use crate::telemetry::audit::Who;

/// List of the resources, included in every 404.
const KNOWN: &str = "the admin socket has POST /publish/CHANNEL, GET /events/CHANNEL, GET /status, POST /close/WHAT, \
                     POST /drain/APP?address=ADDRESS, GET /metrics, GET /healthz, GET /readyz, POST /reload and \
                     POST /upgrade";
/// List of the resources of the TCP address.
const KNOWN_WATCHING: &str =
    "there is GET /metrics, GET /healthz and GET /readyz; for all else use the admin socket";

/// Default limit on rows of each list in a status.
const ROWS: usize = 200;

/// The set of resources that a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All resources.
    All,
    /// Metrics and health only.
    Watching,
}

/// Handler of the requests.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) hub: Hub,
    pub(super) desk: Desk,
    pub(super) view: View,
    scope: Scope,
    /// Time limit without a byte of a message.
    pub(super) idle: Duration,
    pub(super) shutdown: Shutdown,
}

impl Routes {
    pub(super) fn new(view: View, desk: Desk, scope: Scope, idle: Duration) -> Self {
        Self {
            hub: view.hub.clone(),
            shutdown: view.shutdown.clone(),
            desk,
            view,
            scope,
            idle,
        }
    }

    /// Responds to a request; every failure becomes a response too.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let accept = request.headers().get(ACCEPT).cloned();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let answered = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", "metrics"] => self.reading(request, |_| Ok(self.metrics())),
            ["", "healthz"] => self.reading(request, |_| Ok(answer(&self.view.health(), &[]))),
            ["", "readyz"] => {
                let ready = self.view.readiness().await;
                self.reading(request, |_| Ok(answer(&ready, &self.view.remarks())))
            }
            _ if self.scope == Scope::Watching => {
                self.refuse(request, Refusal::not_found(KNOWN_WATCHING))
            }
            ["", "publish", channel] => self.publishing(channel, request).await,
            ["", "events", channels] => {
                self.reading(request, |request| self.listen(channels, request))
            }
            ["", "reload"] => self.order(Order::Reload, request).await,
            ["", "upgrade"] => self.order(Order::Upgrade, request).await,
            ["", "status"] => {
                self.view.look_at_apps().await;
                self.reading(request, |parts| self.status(parts))
            }
            ["", "close", what] => self.close(what, request),
            ["", "drain", app] => self.drain(app, request),
            _ => self.refuse(request, Refusal::not_found(KNOWN)),
        };
        let mut answer = answered.unwrap_or_else(|refusal| {
            debug!(%path, status = refusal.status.as_u16(), reason = %refusal.reason, "admin request refused");
            refusal.into_response(Form::preferred(accept.as_ref()), &method)
        });
        set_date(answer.headers_mut());
        answer
    }

    async fn publishing(
        &self,
        channel: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::POST {
            return self.refuse(request, not_allowed("POST"));
        }
        match self.name(channel) {
            Ok(name) => self.publish(&name, request).await,
            Err(refusal) => self.refuse(request, refusal),
        }
    }

    /// Responds to a GET, and discards its body.
    fn reading(
        &self,
        request: Request<Incoming>,
        answer: impl FnOnce(&http::request::Parts) -> Result<Response<Body>, Refusal>,
    ) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::GET {
            return self.refuse(request, not_allowed("GET"));
        }
        let (parts, body) = request.into_parts();
        refuse(body, &self.shutdown);
        answer(&parts)
    }

    /// Builds a refusal that reaches a client which is still sending.
    pub(super) fn refuse<T>(
        &self,
        request: Request<Incoming>,
        refusal: Refusal,
    ) -> Result<T, Refusal> {
        refuse(request.into_body(), &self.shutdown);
        Err(refusal)
    }

    /// Parses the channel name in a path.
    fn name(&self, text: &str) -> Result<ChannelName, Refusal> {
        let name = ChannelName::parse(text).map_err(Refusal::not_found)?;
        match self.hub.rules(&name) {
            Some(_) => Ok(name),
            None => Err(self.unknown(&name)),
        }
    }

    pub(super) fn unknown(&self, name: &ChannelName) -> Refusal {
        let known = self.hub.configured();
        Refusal::not_found(if known.is_empty() {
            format!("there is no channel {name}; the configuration has no [[channel]] at all")
        } else {
            format!("there is no channel {name}; there is {}", known.join(", "))
        })
    }

    fn listen(
        &self,
        channels: &str,
        parts: &http::request::Parts,
    ) -> Result<Response<Body>, Refusal> {
        let names = channels.split(',').map(|name| self.name(name));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let query = parts.uri.query();
        let format = match parameter(query, "format")?.as_deref() {
            Some("plain") => Format::Plain,
            None if names.len() == 1 => Format::Plain,
            Some("json") | None => Format::Json,
            Some(_) => return Err(Refusal::bad_request("format is json or plain")),
        };
        let header = parts.headers.get("last-event-id");
        let cursor = match header.and_then(|value| value.to_str().ok()) {
            Some(cursor) => Some(cursor.into()),
            None => parameter(query, "last-event-id")?,
        };
        let from = From::parse(cursor.as_deref());
        let subscription = self
            .hub
            .subscribe(&names, from, None)
            .map_err(|error| match error {
                SubscribeError::Unknown(name) => self.unknown(&name),
                error => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                    .retry_after(self.hub.retry()),
            })?;
        let who = Who {
            peer: "the admin socket".to_owned(),
            ..Who::default()
        };
        let subscription = subscription.audited(who, &names);
        let stop = self.shutdown.requested_owned();
        let stream = Stream::new(subscription, format, self.hub.clone(), stop);
        let mut response = Response::new(stream.boxed_unsync());
        let kind = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        no_store(&mut response);
        Ok(response)
    }

    fn metrics(&self) -> Response<Body> {
        let mut response = Response::new(full(self.view.metrics()));
        let kind = HeaderValue::from_static(telemetry::CONTENT_TYPE);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        no_store(&mut response);
        response
    }

    fn status(&self, parts: &http::request::Parts) -> Result<Response<Body>, Refusal> {
        let rows = match parameter(parts.uri.query(), "rows")? {
            None => ROWS,
            Some(text) => text
                .parse()
                .map_err(|_| Refusal::bad_request("rows is a whole number"))?,
        };
        let status = self.view.status(rows);
        Ok(object(StatusCode::OK, &Value::Object(status)))
    }

    /// Closes a tunnel, a subscriber, or everything of a session or a user.
    fn close(&self, what: &str, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::POST {
            return self.refuse(request, not_allowed("POST"));
        }
        refuse(request.into_body(), &self.shutdown);
        let closed = self.view.close(what)?;
        Ok(object(StatusCode::OK, &json!({ "closed": closed })))
    }
}

/// A JSON response on one line.
pub(super) fn object(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(format!("{value}\n")));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    no_store(&mut response);
    response
}

/// Response to a health probe: 200 without faults, with a line for each remark, or 503 with a line for each fault.
fn answer(faults: &[String], remarks: &[String]) -> Response<Body> {
    let (status, text) = if faults.is_empty() {
        let lines: Vec<_> = ["ok"]
            .into_iter()
            .chain(remarks.iter().map(String::as_str))
            .collect();
        (StatusCode::OK, lines.join("\n") + "\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, faults.join("\n") + "\n")
    };
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let moment = HeaderValue::from_static("2");
        response.headers_mut().insert(RETRY_AFTER, moment);
    }
    no_store(&mut response);
    response
}

fn no_store(response: &mut Response<Body>) {
    let value = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, value);
}

pub(super) fn not_allowed(method: &'static str) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("this address takes {method} only"),
    )
    .allow(method)
}
