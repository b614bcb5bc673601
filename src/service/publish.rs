//! Messages published over HTTP: by programs with the publish token, and by pages, which the app decides about.
//! Also calls the presence hooks of apps.
//!
//! A page's message is an ordinary request of its visitor to the app, which need not know of any of this; where
//! the response says so in its headers, it is published.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use tracing::warn;

use crate::config::{self, ChannelName, HeaderRules, Publisher};
use crate::http::{
    Body, BodyLimits, BoxError, Budget, Context, Head, Incoming, Lease, Received, Refusal, Scheme,
    apply_to_request, drop_own_headers, full, idempotency_key, receive, refuse,
};
use crate::hub::{Data, Draft, EventId, Hook, Kind, Parameters, PublishError, PublisherId};
use crate::proxy::Forward;
use crate::push::{Outcome, Receiver};
use crate::service::Service;
use crate::service::audit_record::Attempt;
use crate::service::channel_auth::{Asking, Permit};
use crate::service::page_message::{
    CHANNEL, EVENT, ID, KEY, PageMessage, essence, set_message_type, set_own,
};
use crate::service::responses::json;
use crate::shares::{Client, Share};
use crate::upstream::{Asker, Payload, Upstream};

/// Size limit of the app's response to a message.
const LARGEST_ANSWER: usize = 1024 * 1024;
/// Header with the channel that an app's response is published on.
const PUBLISH: &str = "noren-publish";

impl Service {
    /// Handles a message by POST.
    pub(super) async fn post(
        self: &Arc<Self>,
        name: ChannelName,
        parameters: &Parameters,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let rules = self.hub.rules(&name);
        let Some(rules) = rules else {
            refuse(request.into_body(), &self.shutdown);
            return Err(Refusal::not_found(format!("there is no channel {name}")));
        };
        let (parts, body) = request.into_parts();
        let asking = Asking {
            headers: &parts.headers,
            query: parts.uri.query(),
            head,
            context,
        };
        let trusted = match self.may_post(&name, &rules, asking, attempt).await {
            Ok(trusted) => trusted,
            Err(refusal) => {
                refuse(body, &self.shutdown);
                return Err(refusal);
            }
        };
        let size = self.hub.settings().message_size;
        let limits = BodyLimits {
            size: size as u64,
            buffer: size,
            ..self.body
        };
        let bytes = match receive(body, limits, Some(self.budget(context)), &self.shutdown).await? {
            Received::None => Bytes::new(),
            Received::Whole(bytes) => bytes,
            // Cannot be: all of the size is buffered.
            Received::Begun(_) => {
                let error = PublishError::TooLarge { size, limit: size };
                return Err(unpublished(&error, self.hub.retry()));
            }
        };
        let id = idempotency_key(&parts.headers)?;
        if trusted {
            self.count_channel(&name, &parts.headers, context)?;
            let mut draft = draft(parameters, &parts.headers, bytes)?;
            draft.id = own_id(id.as_deref())?;
            let published = self.publish_whole(&name, draft).await;
            let id = published.map_err(|error| unpublished(&error, self.hub.retry()))?;
            let object = serde_json::json!({"id": id.to_string()});
            return Ok(json(StatusCode::ACCEPTED, &object));
        }
        // The app is not asked about a message that could not be published whatever it says.
        if let Some(fault) = labels(parameters, Data::text("")).fault() {
            return Err(Refusal::bad_request(fault));
        }
        let message = PageMessage {
            event: parameters.event.clone(),
            key: parameters.key.clone(),
            id,
            bytes,
        };
        self.ask_app(&name, parts, message, head, context).await
    }

    /// Counts a channel that this message creates towards the address of the client, unless that is a program with
    /// the publish token: the bearer of a token for a pattern could otherwise use up all channels of it.
    fn count_channel(
        &self,
        name: &ChannelName,
        headers: &HeaderMap,
        context: &Context,
    ) -> Result<(), Refusal> {
        if bearer(headers).is_some_and(|token| self.hub.is_publish_token(token)) {
            return Ok(());
        }
        let opened = self.hub.open_for(context.peer.counted_as(), name);
        opened.map_err(|error| unpublished(&error, self.hub.retry()))
    }

    /// The memory budget of a message while it arrives. It never goes to disk.
    pub(super) fn budget(&self, context: &Context) -> Budget<'_> {
        Budget {
            spool: &self.spool,
            client: Client {
                address: context.peer.counted_as(),
                session: None,
            },
            disk: false,
        }
    }

    /// The memory for what a connection has received and nobody has read yet. What comes through a trusted proxy is of
    /// many clients.
    #[must_use]
    pub fn unread_memory(&self, context: &Context) -> Share {
        let counted = context.proxies.is_none();
        let address = counted.then(|| context.peer.counted_as()).flatten();
        self.spool.request_memory(Client {
            address,
            session: None,
        })
    }

    /// True if the client may publish itself; otherwise the app decides about the message.
    async fn may_post(
        &self,
        name: &ChannelName,
        rules: &config::Channel,
        asking: Asking<'_>,
        attempt: &mut Attempt<'_>,
    ) -> Result<bool, Refusal> {
        let by_token = rules.publish.contains(&Publisher::Token);
        let by_app = rules.publish.contains(&Publisher::App);
        let token = bearer(asking.headers).filter(|_| by_token);
        // On a channel where pages publish too, a token may be one of the app's.
        let only_token = token.is_some() && !by_app;
        if only_token {
            self.may_try_token(asking.context)?;
        }
        if token.is_some_and(|token| self.hub.is_publish_token(token)) {
            return Ok(true);
        }
        if by_token
            && self
                .is_publisher(name, rules, asking, attempt, !by_app)
                .await?
        {
            return Ok(true);
        }
        if !by_app {
            if only_token {
                self.wrong_token(asking.context);
            }
            return Err(not_permitted(rules));
        }
        let permit = self
            .permit(std::slice::from_ref(name), asking, attempt)
            .await?;
        if permit.may_publish(name, rules) {
            Ok(false)
        } else {
            let reason = "you may listen to this channel, and not publish on it";
            Err(Refusal::new(StatusCode::FORBIDDEN, reason))
        }
    }

    /// Forwards a page's message to the app, as an ordinary request of the visitor, and publishes the response if
    /// the app says so.
    async fn ask_app(
        self: &Arc<Self>,
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
        let upstream = self.app_named(rules.app.as_deref())?;
        // Nothing of the client's own query: of two parameters of one name apps take the first, the last or both.
        parts.uri = format!("{}?{}", path.as_str(), message.query(name))
            .parse()
            .map_err(|_| Refusal::bad_request("the parameters cannot be passed on"))?;
        parts.method = Method::POST;
        set_message_type(&mut parts.headers);
        let own = message.headers(name);
        let id = own_id(message.id.as_deref())?.and(message.id.as_deref());
        let id = id.map(|id| PublisherId::scoped(&shown(&parts.headers, context), id));
        let is_known = |headers: &HeaderMap| self.knows(headers);
        let forward = Forward {
            upstream,
            body: self.body,
            context,
            head,
            asker: Asker {
                address: context.peer.counted_as(),
                is_https: context.scheme == Scheme::Https,
                is_known: &is_known,
                times: None,
            },
            tasks: &self.shutdown,
            removed: self.headers.replaced(None),
        };
        let response = forward.submit(parts, message.bytes, own).await?;
        self.publish_answer(response, id, context).await
    }

    /// Publishes the app's response if its headers say so. The visitor gets it too. Its id is the app's, or else
    /// that of the page's message.
    async fn publish_answer(
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
                Ok(()) => self.publish_whole(&name, draft).await,
                Err(error) => Err(error),
            },
            Err(error) => {
                warn!(%channel, error, "an answer of the app could not be published");
                return Ok(Response::from_parts(parts, full(bytes)));
            }
        };
        if let Err(error) = published {
            warn!(%channel, %error, "an answer of the app could not be published");
            // The visitor may try again: nobody has seen it.
            if matches!(error, PublishError::NotKept(_) | PublishError::Moving) {
                return Err(unpublished(&error, self.hub.retry()));
            }
        }
        Ok(Response::from_parts(parts, full(bytes)))
    }

    /// Publishes a message, and waits until it is as durable as its channel promises.
    async fn publish_whole(
        &self,
        name: &ChannelName,
        draft: Draft,
    ) -> Result<EventId, PublishError> {
        self.hub.publish(name, draft)?.acknowledged().await
    }

    /// The callback for messages on a page's WebSocket; `None` if none of its channels accepts any.
    pub(super) fn receiver(
        self: &Arc<Self>,
        names: &[ChannelName],
        permit: &Permit,
        headers: &HeaderMap,
        head: &Head,
        context: &Context,
    ) -> Option<Receiver> {
        let parts = permit.lease.as_ref().map(Lease::parts).unwrap_or_default();
        let names: Vec<_> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| {
                let rules = self.hub.rules(name);
                rules.is_some_and(|rules| {
                    rules.publish.contains(&Publisher::App) && permit.may_publish(name, &rules)
                })
            })
            .map(|(index, name)| (name.clone(), parts.get(index).cloned()))
            .collect();
        if names.is_empty() {
            return None;
        }
        let (service, head, context) = (Arc::clone(self), head.clone(), context.clone());
        let headers = visitor(headers);
        Some(Arc::new(move |channel, draft, id| {
            // A channel that the app does not permit any more takes no messages either.
            let permitted = names.iter().any(|(name, lease)| {
                *name == channel && lease.as_ref().is_none_or(|lease| !lease.has_ended())
            });
            let (service, head, context) = (Arc::clone(&service), head.clone(), context.clone());
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
                let answer = service
                    .ask_app(&channel, parts, message, &head, &context)
                    .await;
                outcome(answer)
            })
        }))
    }

    fn app_named(&self, name: Option<&str>) -> Result<&Arc<Upstream>, Refusal> {
        let found = match name {
            None => self.apps.first(),
            Some(name) => self.apps.iter().find(|app| app.settings().name == name),
        };
        found.ok_or_else(|| Refusal::not_found("there is no app to ask"))
    }

    /// Runs the hub's housekeeping, and calls the presence hooks of apps.
    pub(super) fn look_after_hub(&self) {
        for hook in self.hub.look_after() {
            let Ok(upstream) = self.app_named(hook.app.as_deref()) else {
                continue;
            };
            let upstream = Arc::clone(upstream);
            self.shutdown.spawn(async move {
                let path = hook.path.clone();
                let rules = &upstream.settings().request_headers;
                match upstream
                    .send(told(&hook, rules), Asker::unknown(None))
                    .await
                {
                    Ok(response) => {
                        let status = response.status();
                        if !status.is_success() {
                            let status = status.as_u16();
                            warn!(path, status, "the app did not want to know who listens");
                        }
                        // Read to its end, or the connection could not be used again.
                        let _ = collect(response.into_body().boxed_unsync()).await;
                    }
                    Err(error) => warn!(path, %error, "the app could not be told who listens"),
                }
            });
        }
    }
}

/// The refusal for a client that may not publish.
fn not_permitted(rules: &config::Channel) -> Refusal {
    if rules.publish.contains(&Publisher::Token) {
        let reason = "to publish here, send the publish token: Authorization: Bearer …";
        return Refusal::new(StatusCode::UNAUTHORIZED, reason)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let name = &rules.name;
    let reason = format!("{name} takes no messages over HTTP (see publish in [[channel]])");
    Refusal::new(StatusCode::FORBIDDEN, reason)
}

/// Collects a response body that is to be published.
pub(super) async fn collect(mut body: Body) -> Result<Bytes, BoxError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > LARGEST_ANSWER {
            return Err(format!("it is larger than {LARGEST_ANSWER} bytes").into());
        }
    }
    Ok(bytes.freeze())
}

/// The request that reports presence to an app.
fn told(hook: &Hook, rules: &HeaderRules) -> Request<Payload> {
    let body = serde_json::json!({
        "channel": hook.channel.as_str(),
        "count": hook.presence.count,
        "names": hook.presence.names,
    })
    .to_string();
    let length = body.len();
    let mut request = Request::new(Payload::Whole(body.into()));
    *request.method_mut() = Method::POST;
    if let Ok(uri) = hook.path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    apply_to_request(rules, headers);
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    // By this the app knows that it is not a visitor who says so.
    set_own(headers, CHANNEL, hook.channel.as_str());
    request
}

/// The headers that identify a visitor and describe the wanted response: those of the page, without the
/// handshake's.
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

/// Converts a message from a page's WebSocket to the POST request that it corresponds to.
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

/// Parses a message from a body, by its media type.
fn draft(parameters: &Parameters, headers: &HeaderMap, bytes: Bytes) -> Result<Draft, Refusal> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = essence(kind.unwrap_or_default());
    let unsound = |what: &str| Refusal::bad_request(format!("the message is not {what}"));
    let data = if kind.eq_ignore_ascii_case("application/json") {
        let text = std::str::from_utf8(&bytes).map_err(|_| unsound("UTF-8"))?;
        Data::json(text).map_err(|error| unsound(&format!("JSON: {error}")))?
    } else if kind.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("text/"))
        // The default type of curl and of old forms.
        || kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        let text = String::from_utf8(bytes.into()).map_err(|_| unsound("UTF-8"))?;
        Data::text(text)
    } else {
        // A copy, which holds neither the buffer it came in nor its place in the memory for request bodies.
        Data::bytes(Bytes::copy_from_slice(&bytes))
    };
    Ok(labels(parameters, data))
}

/// A message with the event, key and id from the parameters.
fn labels(parameters: &Parameters, data: Data) -> Draft {
    Draft {
        event: parameters.event.as_deref().map(Into::into),
        key: parameters.key.as_deref().map(Into::into),
        id: None,
        data,
    }
}

/// Parses a publisher's own id.
fn own_id(text: Option<&str>) -> Result<Option<PublisherId>, Refusal> {
    let id = text.map(PublisherId::parse).transpose();
    id.map_err(Refusal::bad_request)
}

/// A value that identifies a visitor, so that the message ids of one do not collide with those of another.
fn shown(headers: &HeaderMap, context: &Context) -> Vec<u8> {
    let lines = [COOKIE, AUTHORIZATION];
    let lines = lines.iter().flat_map(|name| headers.get_all(name));
    let shown: Vec<_> = lines.map(HeaderValue::as_bytes).collect();
    if shown.is_empty() {
        return format!("{:?}", context.peer.counted_as()).into_bytes();
    }
    shown.join(&b'\n')
}

/// The refusal for a message that was not accepted; `retry` is the time after which it may be.
pub(super) fn unpublished(error: &PublishError, retry: Duration) -> Refusal {
    let status = match error {
        PublishError::Unknown(_) => StatusCode::NOT_FOUND,
        PublishError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        PublishError::Malformed(_) => StatusCode::BAD_REQUEST,
        PublishError::ChannelShare => StatusCode::TOO_MANY_REQUESTS,
        PublishError::TooManyChannels(_) | PublishError::Moving | PublishError::NotKept(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let refusal = Refusal::new(status, error.to_string());
    match status {
        StatusCode::SERVICE_UNAVAILABLE => refusal.retry_after(retry),
        _ => refusal,
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
