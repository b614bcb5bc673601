//! Routes of the admin socket, and their responses.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use tracing::debug;

use crate::admin::View;
use crate::admin::addresses::drain;
use crate::admin::consoles::keyboard;
use crate::admin::control::{Order, OrderSender};
use crate::admin::publish::Publisher;
use crate::admin::responses::{health, no_store, not_allowed, object, refused, unknown};
use crate::config::ChannelName;
use crate::http::{Body, Form, Refusal, full, parameter, refuse, set_date};
use crate::hub::{Format, From, Hub, SubscribeError};
use crate::push::{EventStreamOptions, event_stream};
use crate::shutdown::Shutdown;
use crate::telemetry;
use crate::telemetry::audit::AuditClient;

/// List of the resources, included in every 404.
const KNOWN: &str = "the admin socket has POST /publish/CHANNEL, GET /events/CHANNEL, GET /status, POST /close/WHAT, \
                     POST /drain/APP?address=ADDRESS, POST /keyboard/TUNNEL, GET /metrics, GET /healthz, \
                     GET /readyz, POST /reload and POST /upgrade";
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
    hub: Hub,
    desk: OrderSender,
    publisher: Publisher,
    view: View,
    scope: Scope,
    shutdown: Shutdown,
}

impl Routes {
    /// The resources of a listener; `idle` is the time limit without a byte of a message.
    pub(super) fn new(view: View, desk: OrderSender, scope: Scope, idle: Duration) -> Self {
        Self {
            hub: view.hub.clone(),
            shutdown: view.shutdown.clone(),
            publisher: Publisher::new(&view, idle),
            desk,
            view,
            scope,
        }
    }

    /// Responds to a request; every failure becomes a response too.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let accept = request.headers().get(ACCEPT).cloned();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let answered = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", "metrics"] => self.reading(request, |_| Ok(self.metrics())),
            ["", "healthz"] => self.reading(request, |_| Ok(health(&self.view.health(), &[]))),
            ["", "readyz"] => {
                let ready = self.view.readiness().await;
                self.reading(request, |_| Ok(health(&ready, &self.view.remarks())))
            }
            _ if self.scope == Scope::Watching => {
                refused(request, Refusal::not_found(KNOWN_WATCHING), &self.shutdown)
            }
            ["", "publish", channel] => self.publishing(channel, request).await,
            ["", "events", channels] => {
                self.reading(request, |request| self.listen(channels, request))
            }
            ["", "reload"] => {
                self.desk
                    .order(Order::Reload, request, &self.shutdown)
                    .await
            }
            ["", "upgrade"] => {
                self.desk
                    .order(Order::Upgrade, request, &self.shutdown)
                    .await
            }
            ["", "status"] => {
                self.view.probe_apps().await;
                self.reading(request, |parts| self.status(parts))
            }
            ["", "close", what] => self.close(what, request),
            ["", "drain", app] => drain(&self.view, app, request),
            ["", "keyboard", what] => keyboard(&self.view, what, request),
            _ => refused(request, Refusal::not_found(KNOWN), &self.shutdown),
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
            return refused(request, not_allowed("POST"), &self.shutdown);
        }
        match self.name(channel) {
            Ok(name) => self.publisher.publish(&name, request).await,
            Err(refusal) => refused(request, refusal, &self.shutdown),
        }
    }

    /// Responds to a GET, and discards its body.
    fn reading(
        &self,
        request: Request<Incoming>,
        answer: impl FnOnce(&http::request::Parts) -> Result<Response<Body>, Refusal>,
    ) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::GET {
            return refused(request, not_allowed("GET"), &self.shutdown);
        }
        let (parts, body) = request.into_parts();
        refuse(body, &self.shutdown);
        answer(&parts)
    }

    /// Parses the channel name in a path.
    fn name(&self, text: &str) -> Result<ChannelName, Refusal> {
        let name = ChannelName::parse(text).map_err(Refusal::not_found)?;
        match self.hub.rules(&name) {
            Some(_) => Ok(name),
            None => Err(unknown(&self.hub, &name)),
        }
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
                SubscribeError::Unknown(name) => unknown(&self.hub, &name),
                error => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                    .retry_after(self.hub.retry()),
            })?;
        let client = AuditClient {
            peer: "the admin socket".to_owned(),
            ..AuditClient::default()
        };
        let subscription = subscription.audited(client, &names);
        let stop = self.shutdown.requested_owned();
        let options = EventStreamOptions::new(format).until(stop);
        Ok(event_stream(&self.hub, subscription, options))
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
        Ok(object(StatusCode::OK, &json!(status)))
    }

    /// Closes a tunnel, a subscriber, or everything of a session or a user.
    fn close(&self, selector: &str, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::POST {
            return refused(request, not_allowed("POST"), &self.shutdown);
        }
        refuse(request.into_body(), &self.shutdown);
        let closed = self.view.close(selector)?;
        Ok(object(StatusCode::OK, &json!({ "closed": closed })))
    }
}
