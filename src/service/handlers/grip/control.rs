//! The control endpoint of GRIP: apps publish messages by POST, with a token signed by one of their keys. Must not know
//! the connections that get the messages.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::http::{Body, Context, Head, Incoming, Received, Refusal, full, refuse};
use crate::hub::Hub;
use crate::push::grip::Items;
use crate::push::publish_refusal;
use crate::service::exchange::bearer;
use crate::service::handlers::grip::apps::{GripApp, GripApps};
use crate::service::request_bodies::RequestBodies;
use crate::service::responses::json;
use crate::service::shared_parts::SharedParts;
use crate::service::token_limit::{TokenLimit, forgive};
use crate::shutdown::Shutdown;

/// Size limit of a POST.
const LARGEST: usize = 1_000_000;

/// The resources of a control endpoint.
#[derive(Debug, PartialEq, Eq)]
enum Resource<'a> {
    /// `/publish`: the key that has signed the token identifies the app.
    Publish,
    /// `/APP/publish`: the path names the app.
    PublishFor(&'a str),
}

impl<'a> Resource<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        match path.strip_suffix("/publish")?.strip_prefix('/') {
            None => Some(Self::Publish),
            Some(app) if !app.contains('/') => Some(Self::PublishFor(app)),
            Some(_) => None,
        }
    }
}

/// Handles messages of GRIP apps.
#[derive(Debug)]
pub(in crate::service) struct GripControl {
    apps: Arc<GripApps>,
    limit: TokenLimit,
    bodies: RequestBodies,
    hub: Hub,
    shutdown: Shutdown,
}

impl GripControl {
    pub(in crate::service) fn new(shared: &SharedParts, apps: Arc<GripApps>) -> Self {
        Self {
            apps,
            limit: shared.tokens.clone(),
            bodies: shared.bodies.clone(),
            hub: shared.hub.clone(),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Handles a request to the control endpoint.
    pub(in crate::service) async fn handle(
        &self,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let permitted = match Resource::parse(head.path.as_str()) {
            None => Err(Refusal::not_found("write POST /publish/ or /APP/publish/")),
            Some(_) if parts.method != Method::POST => {
                let reason = "messages are published with POST";
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, reason).allow("POST"))
            }
            Some(resource) => self.publisher(&resource, &parts.headers, context).await,
        };
        let app = match permitted {
            Ok(app) => app,
            Err(refusal) => {
                refuse(body, &self.shutdown);
                return Err(refusal);
            }
        };
        let received = self.bodies.whole(body, LARGEST, context, &self.shutdown);
        let bytes = match received.await? {
            Received::Whole(bytes) => bytes,
            Received::None | Received::Begun(_) => Bytes::new(),
        };
        let items = Items::read(&bytes)
            .map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, fault.to_string()))?;
        let order = &self.apps.order;
        let published = order
            .publish(&self.hub, &app.name, items, &self.shutdown)
            .await;
        published.map_err(|error| publish_refusal(&error, self.hub.retry()))?;
        Ok(taken(&parts.headers))
    }

    /// The app whose key has signed the publisher's token.
    async fn publisher(
        &self,
        resource: &Resource<'_>,
        headers: &HeaderMap,
        context: &Context,
    ) -> Result<&GripApp, Refusal> {
        let Some(token) = bearer(headers) else {
            let reason = "show a token of the app's key: Authorization: Bearer TOKEN (GRIP_URL with iss and key)";
            return Err(unauthorized(reason, headers));
        };
        let place = self.limit.hold(context).await?;
        let is_meant = |app: &&GripApp| match resource {
            Resource::Publish => true,
            Resource::PublishFor(name) => *app.name == **name,
        };
        let (mut found, mut causes) = (Vec::new(), String::new());
        for app in self.apps.all().filter(is_meant) {
            match app.keys.verify(token.to_owned()).await {
                Ok(()) => found.push(app),
                // Writing to a string cannot fail.
                Err(cause) => drop(write!(causes, "app {}: {cause}; ", app.name)),
            }
        }
        if !found.is_empty() {
            forgive(place);
        }
        match found.as_slice() {
            [app] => Ok(app),
            [] => {
                let refusal = unauthorized("this token is not of a key of an app here", headers);
                Err(refusal.because(&causes.trim_end_matches("; ")))
            }
            _ => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "several apps have this key; write /APP/publish/ with the name of one",
            )),
        }
    }
}

fn unauthorized(reason: &'static str, headers: &HeaderMap) -> Refusal {
    let challenge = if headers.contains_key(AUTHORIZATION) {
        HeaderValue::from_static("Bearer error=\"invalid_token\"")
    } else {
        HeaderValue::from_static("Bearer")
    };
    Refusal::new(StatusCode::UNAUTHORIZED, reason).with(WWW_AUTHENTICATE, challenge)
}

/// The response to an accepted message, in the form of Pushpin.
fn taken(headers: &HeaderMap) -> Response<Body> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("application/json")) {
        return json(StatusCode::OK, &serde_json::json!({"message": "Published"}));
    }
    let mut response = Response::new(full("Published\n"));
    let kind = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_and_their_base_addresses_find_the_endpoint() {
        for (path, resource) in [
            ("/publish", Some(Resource::Publish)),
            ("/publish/", Some(Resource::Publish)),
            ("/wok/publish/", Some(Resource::PublishFor("wok"))),
            ("/", None),
            ("/publish/x", None),
            ("/a/b/publish", None),
            ("/unpublish", None),
        ] {
            assert_eq!(Resource::parse(path), resource, "{path}");
        }
    }
}
