//! Requests to the Mercure hub: determines the resource, checks the token, and publishes or subscribes.
//!
//! Connects the token with the hub; independent of how updates are matched and sent.

mod metadata;
mod publish;
mod subscribe;
mod subscriptions;
mod token;

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN,
    VARY,
};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::config::OriginRule;
use crate::http::{Body, Refusal, RequestPath, empty};
use crate::hub::Hub;
use crate::push::mercure::{MercureHub, Rules};
use crate::router::METADATA;
use crate::service::exchange::Exchange;
use crate::service::handlers::no_content;
use crate::service::mercure_keys::MercureKeys;
use crate::service::request_bodies::RequestBodies;
use crate::service::route_auth::{Entrances, permit_page};
use crate::service::session_auth::SessionAuth;
use crate::service::shared_parts::SharedParts;
use crate::service::token_limit::TokenLimit;
use crate::shutdown::Shutdown;

/// Headers that pages of other origins may send.
const SENT: &str = "authorization, cache-control, content-type, last-event-id";
/// Headers of responses that pages of other origins may read.
const SHOWN: &str = "etag, last-event-id, link, mercure-last-event-id, www-authenticate";
/// Seconds for which a browser caches the response to a preflight request.
const ASKED_AGAIN: &str = "600";

/// Handles requests to the Mercure hub.
#[derive(Debug)]
pub(super) struct Mercure {
    updates: MercureHub,
    rules: Arc<Rules>,
    keys: MercureKeys,
    /// True if pages of any origin may read public updates, but without cookies.
    any_origin: bool,
    hub: Hub,
    entrances: Arc<Entrances>,
    bodies: RequestBodies,
    sessions: SessionAuth,
    tokens: TokenLimit,
    shutdown: Shutdown,
}

/// A resource of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'a> {
    /// The hub, to publish on and to subscribe to.
    Hub,
    /// The list of active subscriptions; the value is the rest of the path, as it was sent.
    Subscriptions(&'a str),
    /// The metadata of version 1.0.
    Metadata,
}

impl Resource<'_> {
    fn methods(self) -> &'static str {
        match self {
            Self::Hub => "GET, HEAD, POST, QUERY, OPTIONS",
            Self::Subscriptions(_) | Self::Metadata => "GET, HEAD, OPTIONS",
        }
    }
}

impl Mercure {
    pub(super) fn new(shared: &SharedParts, mercure: MercureHub, keys: MercureKeys) -> Self {
        let rules = Arc::clone(mercure.rules());
        let origins = &rules.settings.entrance.origins;
        Self {
            any_origin: origins.contains(&OriginRule::Any),
            updates: mercure,
            rules,
            keys,
            hub: shared.hub.clone(),
            entrances: Arc::clone(&shared.entrances),
            bodies: shared.bodies.clone(),
            sessions: shared.sessions.clone(),
            tokens: shared.tokens.clone(),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Determines the resource from a path as it was sent: a topic in it is still encoded.
    fn resource<'a>(&self, path: &'a str) -> Option<Resource<'a>> {
        let settings = &self.rules.settings;
        if let Some(rest) = path.strip_prefix(METADATA) {
            let is_here = rest == settings.path && !settings.issuers.is_empty();
            return is_here.then_some(Resource::Metadata);
        }
        let rest = path.strip_prefix(settings.path.as_str())?;
        if rest.is_empty() {
            return Some(Resource::Hub);
        }
        let rest = rest.strip_prefix("/subscriptions")?;
        let is_below = rest.is_empty() || rest.starts_with('/');
        (is_below && settings.subscriptions)
            .then(|| Resource::Subscriptions(rest.trim_start_matches('/')))
    }
}

impl Mercure {
    /// The methods of the resource at this path; `None` if there is none.
    pub(super) fn methods(&self, path: &RequestPath) -> Option<&'static str> {
        let resource = self.resource(path.as_sent())?;
        Some(resource.methods())
    }

    /// Responds to a request for the hub.
    pub(super) async fn handle(
        &self,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        exchange.audit.set_object("the Mercure hub".to_owned());
        let origin = exchange.request.headers().get(ORIGIN).cloned();
        if let Some(entrance) = &self.entrances.mercure
            && origin.is_some()
            && let Err(denied) = permit_page(entrance, exchange.visitor_parts().0)
        {
            return Err(exchange.refuse(denied, &self.shutdown));
        }
        let path = exchange.head.path.clone();
        let resource = self.resource(path.as_sent());
        let is_read = matches!(*exchange.request.method(), Method::GET | Method::HEAD);
        let is_query = exchange.request.method().as_str() == "QUERY";
        let mut response = match resource {
            Some(resource) if exchange.request.method() == Method::OPTIONS => {
                options(resource.methods())
            }
            Some(Resource::Hub) if exchange.request.method() == Method::POST => {
                self.publish(exchange).await?
            }
            Some(Resource::Hub) if is_read || is_query => self.subscribe(exchange).await?,
            Some(Resource::Subscriptions(rest)) if is_read => {
                self.subscriptions(rest, exchange).await?
            }
            Some(Resource::Metadata) if is_read => metadata::respond(&self.rules),
            Some(resource) => {
                let reason = "updates are published with POST, and read with GET";
                let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, reason);
                let refusal = refusal.allow(resource.methods());
                return Err(exchange.refuse(refusal, &self.shutdown));
            }
            None => {
                let reason = "the Mercure hub has nothing at this address";
                let refusal = Refusal::not_found(reason);
                return Err(exchange.refuse(refusal, &self.shutdown));
            }
        };
        self.share(&mut response, origin);
        Ok(response)
    }

    /// Adds headers that let a page of another origin read the response (Fetch §3.2). If pages of any origin may read
    /// it, they may not send cookies.
    fn share(&self, response: &mut Response<Body>, origin: Option<HeaderValue>) {
        let headers = response.headers_mut();
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin else {
            return;
        };
        if self.any_origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(SHOWN),
        );
    }
}

/// The response to a preflight request of a browser, on behalf of a page of another origin.
fn options(methods: &'static str) -> Response<Body> {
    let mut response = no_content();
    let headers = response.headers_mut();
    headers.insert(http::header::ALLOW, HeaderValue::from_static(methods));
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(methods),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
    headers.insert(
        ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static(ASKED_AGAIN),
    );
    response
}

/// Removes the body from a response, for HEAD.
fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| empty())
}
