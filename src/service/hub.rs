//! Requests to the hub: determines the resource, checks permission, and chooses the transport.
//!
//! Decides between the hub's transports and the app; independent of how a message is sent.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, ORIGIN,
    SEC_WEBSOCKET_KEY, VARY,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::bridge::Subprotocol;
use crate::config::{AmqpFormat, ChannelName, Source};
use crate::http::{
    Body, Context, Form as Preference, Head, Incoming, Lease, Refusal, empty, full, refuse,
};
use crate::hub::{self, Address, End, Format, Parameters, SubscribeError, Subscription, etag};
use crate::push::{self, Asked, Form, Listening, Visitor, Wait};
use crate::service::Service;
use crate::service::audit_record::Attempt;
use crate::service::channel_auth::{Asking, Permit};
use crate::service::responses::json;
use crate::tokens::Token;
use crate::websocket::{Handshake, asks_for_websocket};

/// Longest time that a client may ask a poll to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Files of the page library: name, type, content.
const ASSETS: &[(&str, &str, &str)] = &[
    (
        "noren.js",
        "text/javascript; charset=utf-8",
        include_str!("../push/page/noren.js"),
    ),
    (
        "noren.mjs",
        "text/javascript; charset=utf-8",
        include_str!("../push/page/noren.mjs"),
    ),
    (
        "noren.d.ts",
        "text/plain; charset=utf-8",
        include_str!("../push/page/noren.d.ts"),
    ),
    (
        "notifications.js",
        "text/javascript; charset=utf-8",
        include_str!("../push/page/notifications.js"),
    ),
    (
        "notifications.css",
        "text/css; charset=utf-8",
        include_str!("../push/page/notifications.css"),
    ),
    (
        "nasqueron.js",
        "text/javascript; charset=utf-8",
        include_str!("../push/page/nasqueron.js"),
    ),
    (
        "nasqueron.css",
        "text/css; charset=utf-8",
        include_str!("../push/page/nasqueron.css"),
    ),
];

/// The live page, which loads only its own files.
const PAGE: &str = include_str!("../push/page/notifications.html");
/// The page of a channel whose messages are Nasqueron's.
const NASQUERON: &str = include_str!("../push/page/nasqueron.html");
const PAGE_POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

impl Service {
    /// Responds to a request below the hub's path; `rest` is the part behind it.
    pub(super) async fn hub(
        self: &Arc<Self>,
        rest: &str,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let Some(address) = Address::parse(rest) else {
            refuse(request.into_body(), &self.shutdown);
            return Err(Refusal::not_found(
                "this is no channel; its name is words of letters, digits, - and _, joined by dots",
            ));
        };
        if let Err(denied) = self.permit_origin(&request, head, context) {
            refuse(request.into_body(), &self.shutdown);
            return Err(denied);
        }
        let origin = request.headers().get(ORIGIN).cloned();
        let mut response = match address {
            Address::Asset(file) => asset(file, request.headers())?,
            Address::Presence(name) => {
                let names = std::slice::from_ref(&name);
                let asking = asking(&request, head, context);
                self.permit(names, asking, attempt).await?;
                self.presence(&name)?
            }
            Address::SockJs(rest) => self.sockjs(rest, request, head, context, attempt).await?,
            Address::Channels(names) => {
                attempt.about(hub::channels_named(&names));
                self.channels(names, request, head, context, attempt)
                    .await?
            }
        };
        // A page of another origin that may listen has to be told so by the server it asks (Fetch §3.2).
        if let Some(origin) = origin {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        Ok(response)
    }

    fn permit_origin(
        &self,
        request: &Request<Incoming>,
        head: &Head,
        context: &Context,
    ) -> Result<(), Refusal> {
        let headers = request.headers();
        // Pages of the same site send no Origin with a GET, and neither do programs. Over HTTP/2 a WebSocket has no
        // key, so the method tells it.
        let is_socket = asks_for_websocket(request) || headers.contains_key(SEC_WEBSOCKET_KEY);
        if !headers.contains_key(ORIGIN) && !is_socket {
            return Ok(());
        }
        Self::permit_page(&self.entrances.hub, headers, head, context)
    }

    async fn channels(
        self: &Arc<Self>,
        names: Vec<ChannelName>,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let parameters = Parameters::parse(request.uri().query())
            .map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, fault))?;
        if asks_for_websocket(&request) {
            return self
                .socket(names, &parameters, request, head, context, attempt)
                .await;
        }
        match *request.method() {
            Method::GET | Method::HEAD => {
                self.answer_get(&names, &parameters, &request, head, context, attempt)
                    .await
            }
            Method::POST => {
                if let Ok([name]) = <[ChannelName; 1]>::try_from(names) {
                    return self
                        .post(name, &parameters, request, head, context, attempt)
                        .await;
                }
                refuse(request.into_body(), &self.shutdown);
                Err(Refusal::bad_request("a message goes into one channel"))
            }
            _ => {
                refuse(request.into_body(), &self.shutdown);
                Err(Refusal::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "a channel is listened to with GET, and told something with POST",
                )
                .allow("GET, HEAD, POST"))
            }
        }
    }

    async fn answer_get(
        &self,
        names: &[ChannelName],
        parameters: &Parameters,
        request: &Request<Incoming>,
        head: &Head,
        context: &Context,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let headers = request.headers();
        let transport = Transport::preferred(headers);
        let format = parameters.format.unwrap_or(match names {
            [_] => Format::Plain,
            _ => Format::Json,
        });
        if request.method() == Method::HEAD {
            let mut response = Response::new(empty());
            if transport == Transport::Stream {
                push::set_headers(&mut response);
            }
            return Ok(response);
        }
        if transport == Transport::Page {
            // Before it is said which channels there are.
            self.permit(names, asking(request, head, context), attempt)
                .await?;
            if let Some(unknown) = names.iter().find(|name| self.hub.rules(name).is_none()) {
                return Err(Refusal::not_found(format!("there is no channel {unknown}")));
            }
            return Ok(page(self.page_of(names)));
        }
        let permit = self
            .permit(names, asking(request, head, context), attempt)
            .await?;
        let lease = permit.lease;
        let by = match transport {
            Transport::Stream => "event stream",
            _ => "long poll",
        };
        let who = attempt.listener(lease.as_ref());
        let subscription = self
            .subscribe(names, parameters, headers, lease, context)?
            .by(by, context.peer);
        if transport == Transport::Stream {
            let subscription = subscription.audited(who, names);
            let visible = parameters.named_keep_alive;
            return Ok(push::event_stream(&self.hub, subscription, format, visible));
        }
        let fresh = parameters.begin(headers) == hub::From::Now;
        let limit = parameters
            .wait
            .unwrap_or(self.hub.settings().poll_wait)
            .min(LONGEST_WAIT);
        let wait = Wait {
            // A client without a cursor gets one at once.
            limit: if fresh { Duration::ZERO } else { limit },
            conditional: etag(headers).is_some(),
        };
        let answered = push::poll(subscription, wait).await;
        answered.map_err(|end| {
            let (status, reason) = match end {
                End::Refused => (
                    StatusCode::FORBIDDEN,
                    "the application does not permit one of these channels to you any more",
                ),
                End::Expired => (
                    StatusCode::UNAUTHORIZED,
                    "your token has expired; ask for a new one",
                ),
                _ => (
                    StatusCode::UNAUTHORIZED,
                    "your session has ended; log in, and try again",
                ),
            };
            Refusal::new(status, reason)
        })
    }

    /// The page for channels: the live page, unless it is one channel of a kind with a page of its own.
    fn page_of(&self, names: &[ChannelName]) -> &'static str {
        let [name] = names else { return PAGE };
        let rules = self.hub.rules(name);
        let is_nasqueron = |source: &Source| match source {
            Source::Amqp(source) => source.format == AmqpFormat::Nasqueron,
            _ => false,
        };
        match rules {
            Some(rules) if rules.sources.iter().any(is_nasqueron) => NASQUERON,
            _ => PAGE,
        }
    }

    fn subscribe(
        &self,
        names: &[ChannelName],
        parameters: &Parameters,
        headers: &HeaderMap,
        lease: Option<Lease>,
        context: &Context,
    ) -> Result<Subscription, Refusal> {
        let from = parameters.begin(headers);
        let address = context.peer.counted_as();
        let subscribed = self.hub.subscribe_from(address, names, from, lease);
        subscribed.map_err(|error| unsubscribed(&error, self.hub.retry()))
    }

    async fn socket(
        self: &Arc<Self>,
        names: Vec<ChannelName>,
        parameters: &Parameters,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let handshake = Handshake::check(&request)?;
        let permit = self
            .permit(&names, asking(&request, head, context), attempt)
            .await?;
        let receiver = self.receiver(&names, &permit, request.headers(), head, context);
        let who = attempt.listener(permit.lease.as_ref());
        let subscription = self
            .subscribe(&names, parameters, request.headers(), permit.lease, context)?
            .by("websocket", context.peer);
        let listening = Listening {
            subscription: subscription.audited(who, &names),
            receiver,
            names,
            form: Form::Events(parameters.format.unwrap_or(Format::Json)),
        };
        Ok(push::open_socket(
            &self.hub,
            request,
            handshake,
            None,
            listening,
            context,
            &self.shutdown,
        ))
    }

    async fn sockjs(
        self: &Arc<Self>,
        rest: &str,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response<Body>, Refusal> {
        // The protocol has nothing behind an empty segment, which a canonical path has none of.
        let is_whole = !head.path.as_sent().trim_start_matches('/').contains("//");
        let Some(asked) = Asked::parse(rest).filter(|_| is_whole) else {
            refuse(request.into_body(), &self.shutdown);
            return Err(Refusal::not_found("SockJS has nothing at this address"));
        };
        attempt.about(hub::channels_named(&asked.channels));
        let permit = if asked.needs_permission(request.method()) {
            let asking = asking(&request, head, context);
            let permitted = self.permit(&asked.channels, asking, attempt).await;
            match permitted {
                Ok(permit) => permit,
                Err(denied) => {
                    refuse(request.into_body(), &self.shutdown);
                    return Err(denied);
                }
            }
        } else {
            Permit::default()
        };
        let headers = request.headers();
        let visitor = Visitor {
            who: attempt.listener(permit.lease.as_ref()),
            receiver: self.receiver(&asked.channels, &permit, headers, head, context),
            lease: permit.lease,
            body: self.body,
            budget: self.budget(context),
            client: context,
            tasks: &self.shutdown,
        };
        self.sockjs.respond(asked, request, visitor).await
    }

    /// Serves a page of Wok at the bridge's path: its token names a channel instead of a console.
    pub(super) fn wok_page(
        &self,
        name: ChannelName,
        request: Request<Incoming>,
        handshake: Handshake,
        subprotocol: &Subprotocol,
        context: &Context,
        (lease, attempt): (Option<Lease>, &mut Attempt<'_>),
    ) -> Result<Response<Body>, Refusal> {
        let parameters = Parameters::parse(request.uri().query()).unwrap_or_default();
        let rules = self.hub.rules(&name);
        let names = vec![name];
        attempt.about(hub::channels_named(&names));
        let subscription =
            self.subscribe(&names, &parameters, request.headers(), lease, context)?;
        let listening = Listening {
            subscription: subscription
                .by("websocket", context.peer)
                .audited(attempt.who(), &names),
            names,
            form: Form::Wok {
                boundary: rules
                    .map_or_else(String::new, |rules| rules.boundary)
                    .into(),
                base64: subprotocol.name().as_deref() == Some("base64"),
            },
            receiver: None,
        };
        Ok(push::open_socket(
            &self.hub,
            request,
            handshake,
            subprotocol.name(),
            listening,
            context,
            &self.shutdown,
        ))
    }

    /// The channel that this token names, if any.
    pub(super) fn channel_of(&self, token: &Token) -> Option<ChannelName> {
        let found = self
            .channel_tokens
            .iter()
            .find(|(name, _)| token.means(name));
        found.map(|(_, channel)| channel.clone())
    }

    fn presence(&self, name: &ChannelName) -> Result<Response<Body>, Refusal> {
        let told = self.hub.rules(name).is_some_and(|rules| rules.presence);
        if !told {
            return Err(Refusal::not_found(format!(
                "there is no channel {name} that tells who listens"
            )));
        }
        let presence = self.hub.presence(name);
        let object = serde_json::json!({
            "channel": name.as_str(),
            "count": presence.count,
            "names": presence.names,
        });
        Ok(json(StatusCode::OK, &object))
    }
}

/// The refusal for a client that cannot subscribe.
pub(super) fn unsubscribed(error: &SubscribeError, retry: Duration) -> Refusal {
    let status = match error {
        SubscribeError::Unknown(_) => return Refusal::not_found(error.to_string()),
        SubscribeError::Share | SubscribeError::ChannelShare | SubscribeError::AddressTooFast => {
            StatusCode::TOO_MANY_REQUESTS
        }
        SubscribeError::TooManyChannels(_)
        | SubscribeError::Starting
        | SubscribeError::Unread(_)
        | SubscribeError::Full(_)
        | SubscribeError::TooFast(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, error.to_string()).retry_after(retry)
}

/// The identifying parts of a request.
fn asking<'a, B>(request: &'a Request<B>, head: &'a Head, context: &'a Context) -> Asking<'a> {
    Asking {
        headers: request.headers(),
        query: request.uri().query(),
        head,
        context,
    }
}

/// The transports of a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Stream,
    Page,
    Poll,
}

impl Transport {
    /// The client's preferred transport. A browser asks for `text/event-stream` with an `EventSource` and for
    /// `text/html` in a tab; other programs poll.
    fn preferred(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT);
        let accepted = accept
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let ranges = || {
            accepted
                .split(',')
                .map(|range| range.split(';').next().unwrap_or_default().trim())
        };
        if ranges().any(|range| range.eq_ignore_ascii_case("text/event-stream")) {
            Self::Stream
        } else if Preference::preferred(accept) == Preference::Html {
            Self::Page
        } else {
            Self::Poll
        }
    }
}

/// A page that shows the channel in its own URL.
fn page(html: &'static str) -> Response<Body> {
    let mut response = Response::new(full(html));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(PAGE_POLICY),
    );
    response
}

/// A file of the page library.
fn asset(file: &str, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let found = ASSETS.iter().find(|(name, ..)| *name == file);
    let Some((_, kind, content)) = found else {
        return Err(Refusal::not_found("there is no such file"));
    };
    let tag = concat!("\"", env!("CARGO_PKG_VERSION"), "\"");
    let known = headers.get(IF_NONE_MATCH).is_some_and(|value| value == tag);
    let mut response = if known {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(full(*content))
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ETAG, HeaderValue::from_static(tag));
    Ok(response)
}
