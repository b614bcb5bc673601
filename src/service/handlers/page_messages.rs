//! Messages of pages, about which the app decides: each is an ordinary request of the visitor to the app, which may
//! know nothing of channels. The response is published if its headers say so.
//!
//! Does not know by which transport a message arrived.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tokio::time::sleep;
use tracing::warn;

use crate::access::limits::Limit;
use crate::config::{ChannelName, Publisher};
use crate::http::{
    Body, Context, Head, Lease, Refusal, drop_method_overrides, drop_own_headers, full,
};
use crate::hub::{Draft, Hub, Kind, Parameters, PublisherId};
use crate::net::AddressPermit;
use crate::proxy::Forward;
use crate::push::publish_refusal;
use crate::push::{Outcome, Receiver};
use crate::router::Route;
use crate::service::app_requests::{AppRequests, collect};
use crate::service::channel_auth::Permit;
use crate::service::exchange::VisitorParts;
use crate::service::handlers::publications::{draft, own_id, publish_whole};
use crate::service::headers::ResponseHeaders;
use crate::service::page_message::{EVENT, ID, KEY, PageMessage, set_message_type};
use crate::service::route_auth::Entrances;
use crate::service::route_limits::RouteLimits;
use crate::service::shared_parts::SharedParts;
use crate::service::token_limit::too_many;

/// Header with the channel that an app's response is published on.
const PUBLISH: &str = "noren-publish";

/// Forwards messages of pages to the app.
#[derive(Debug)]
pub(super) struct PageMessages {
    hub: Hub,
    apps: Arc<AppRequests>,
    entrances: Arc<Entrances>,
    headers: Arc<ResponseHeaders>,
    requests: Limit,
    limits: RouteLimits,
}

impl PageMessages {
    pub(super) fn new(shared: &SharedParts) -> Self {
        Self {
            hub: shared.hub.clone(),
            apps: Arc::clone(&shared.apps),
            entrances: Arc::clone(&shared.entrances),
            headers: Arc::clone(&shared.headers),
            requests: shared.requests.clone(),
            limits: shared.route_limits.clone(),
        }
    }

    /// Forwards a page's message to the app, as an ordinary request of the visitor, and publishes the response if its
    /// headers say so.
    pub(super) async fn send_to_app(
        &self,
        name: &ChannelName,
        mut parts: Parts,
        message: PageMessage,
        head: &Head,
        context: &Context,
    ) -> Result<Response<Body>, Refusal> {
        let rules = self.hub.rules(name);
        let path = rules.as_ref().and_then(|rules| rules.receive.as_ref());
        let (Some(rules), Some(path)) = (&rules, path) else {
            return Err(Refusal::not_found(format!("there is no channel {name}")));
        };
        let upstream = self.apps.named(rules.app.as_deref())?;
        // Nothing of the client's own query: of two parameters of one name apps take the first, the last or both.
        parts.uri = format!("{}?{}", path.as_str(), message.query(name))
            .parse()
            .map_err(|_| Refusal::bad_request("the parameters cannot be passed on"))?;
        parts.method = Method::POST;
        drop_method_overrides(&mut parts.headers);
        set_message_type(&mut parts.headers);
        let own = message.headers(name);
        let id = own_id(message.id.as_deref())?.and(message.id.as_deref());
        let id = id.map(|id| PublisherId::scoped(&shown(&parts.headers, context), id));
        let index = self.apps.position(rules.app.as_deref());
        let _permit = self.admit(index, context).await?;
        let entered = self
            .entrances
            .enter_app(index, &mut parts.headers, head, context);
        let head = entered.await?;
        let forward = Forward {
            removed: self.headers.replaced(None),
            ..self.apps.forward(upstream, &head, context)
        };
        let response = forward.submit(parts, message.bytes, own).await?;
        self.publish_response(response, id, context).await
    }

    /// Counts a message towards the request limits of its app, like any other request of its sender, and waits if they
    /// hold it back.
    async fn admit(
        &self,
        index: usize,
        context: &Context,
    ) -> Result<Option<AddressPermit>, Refusal> {
        let (delay, permit) = self.limits.admit(Route::App(index), false, context)?;
        if !delay.is_zero() {
            sleep(delay).await;
        }
        Ok(permit)
    }

    /// Publishes the app's response if its headers say so. The visitor gets the response too. The id of the message is
    /// the one from the app, otherwise that of the page's message.
    async fn publish_response(
        &self,
        response: Response<Body>,
        id: Option<PublisherId>,
        context: &Context,
    ) -> Result<Response<Body>, Refusal> {
        let (mut parts, body) = response.into_parts();
        let mut header = |name: &str| {
            let value = parts.headers.remove(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (channel, event, key) = (header(PUBLISH), header(EVENT), header(KEY));
        let app_id = header(ID);
        drop_own_headers(&mut parts.headers);
        let Some(channel) = channel else {
            return Ok(Response::from_parts(parts, body));
        };
        let bytes = collect(body).await.map_err(|error| {
            let reason = "the app's answer could not be published";
            Refusal::new(StatusCode::BAD_GATEWAY, reason).because(&error)
        })?;
        let parameters = Parameters {
            event,
            key,
            ..Parameters::default()
        };
        let named = ChannelName::parse(&channel).and_then(|name| {
            let draft = draft(&parameters, &parts.headers, bytes.clone());
            let mut draft = draft.map_err(|refusal| refusal.reason.into_owned())?;
            let app_id = app_id.as_deref().map(PublisherId::parse).transpose()?;
            draft.id = app_id.or(id);
            Ok((name, draft))
        });
        let published = match named {
            // A channel that a visitor's message makes counts as the visitor's.
            Ok((name, draft)) => match self.hub.open_for(context.peer.counted_as(), &name) {
                Ok(()) => publish_whole(&self.hub, &name, draft).await,
                Err(error) => Err(error),
            },
            Err(error) => {
                warn!(%channel, error, "a response of the app could not be published");
                return Ok(Response::from_parts(parts, full(bytes)));
            }
        };
        if let Err(error) = published {
            warn!(%channel, %error, "a response of the app could not be published");
            // The visitor may try again: no subscriber has seen the message.
            if error.may_pass() {
                return Err(publish_refusal(&error, self.hub.retry()));
            }
        }
        Ok(Response::from_parts(parts, full(bytes)))
    }

    /// The callback for messages on a page's WebSocket; `None` if none of its channels accepts any.
    pub(super) fn receiver(
        self: &Arc<Self>,
        names: &[ChannelName],
        permit: &Permit,
        visitor_parts: VisitorParts<'_>,
    ) -> Option<Receiver> {
        let parts = permit.lease.as_ref().map(Lease::parts).unwrap_or_default();
        let names: Vec<_> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| {
                let rules = self.hub.rules(name);
                rules.is_some_and(|rules| {
                    // A wrong password would not be counted here, so none is checked: such a page sends POST requests.
                    let index = self.apps.position(rules.app.as_deref());
                    rules.publish.contains(&Publisher::App)
                        && permit.may_publish(name, &rules)
                        && self.entrances.hub_covers(index)
                })
            })
            .map(|(index, name)| (name.clone(), parts.get(index).cloned()))
            .collect();
        if names.is_empty() {
            return None;
        }
        let (own, head, context) = (
            Arc::clone(self),
            visitor_parts.head.clone(),
            visitor_parts.context.clone(),
        );
        let headers = visitor(visitor_parts.headers);
        Some(Arc::new(move |channel, draft, id| {
            // A channel that the app does not permit any more takes no messages either.
            let permitted = names.iter().any(|(name, lease)| {
                *name == channel && lease.as_ref().is_none_or(|lease| !lease.has_ended())
            });
            let (own, head, context) = (Arc::clone(&own), head.clone(), context.clone());
            let headers = headers.clone();
            Box::pin(async move {
                if !permitted {
                    let reason = format!("messages of pages are not taken by {channel} here");
                    return Outcome::refused(403, reason);
                }
                if let Some(fault) = draft.fault() {
                    return Outcome::refused(400, fault.to_owned());
                }
                let (parts, mut message) = request_of(headers, draft);
                message.id = id.map(String::from);
                // A POST has been counted with all other requests; this is the same request to the app.
                if let Err(wait) = own.requests.take(context.peer) {
                    return outcome(Err(too_many("messages", wait)));
                }
                let answer = own
                    .send_to_app(&channel, parts, message, &head, &context)
                    .await;
                outcome(answer)
            })
        }))
    }
}

/// The headers that identify a visitor and describe the wanted response: those of the page without the headers of the
/// WebSocket handshake.
fn visitor(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [
        "cookie",
        "authorization",
        "user-agent",
        "accept-language",
        "origin",
        "referer",
    ] {
        for value in headers.get_all(name) {
            kept.append(HeaderName::from_static(name), value.clone());
        }
    }
    kept
}

/// Converts a message from a page's WebSocket to the equivalent POST request.
fn request_of(headers: HeaderMap, draft: Draft) -> (Parts, PageMessage) {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers = headers;
    let kind = match draft.data.kind() {
        Kind::Text => "text/plain; charset=utf-8",
        Kind::Json => "application/json",
        Kind::Bytes => "application/octet-stream",
    };
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let message = PageMessage {
        event: draft.event.map(String::from),
        key: draft.key.map(String::from),
        id: None,
        bytes: draft.data.as_bytes().clone(),
    };
    (parts, message)
}

fn outcome(answer: Result<Response<Body>, Refusal>) -> Outcome {
    match answer {
        Ok(response) if response.status().as_u16() < 400 => {
            Outcome::taken(response.status().as_u16())
        }
        Ok(response) => {
            let status = response.status();
            let reason = status.canonical_reason().unwrap_or("refused").to_owned();
            Outcome::refused(status.as_u16(), reason)
        }
        Err(refusal) => Outcome::refused(refusal.status.as_u16(), refusal.reason.into_owned()),
    }
}

/// A value that identifies a visitor, so that message ids of different visitors do not collide.
fn shown(headers: &HeaderMap, context: &Context) -> Vec<u8> {
    let lines = [COOKIE, AUTHORIZATION];
    let lines = lines.iter().flat_map(|name| headers.get_all(name));
    let shown: Vec<_> = lines.map(HeaderValue::as_bytes).collect();
    if shown.is_empty() {
        return format!("{:?}", context.peer.counted_as()).into_bytes();
    }
    shown.join(&b'\n')
}
